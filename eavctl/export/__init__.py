"""Models as ONNX graphs, from features to calibrated probabilities."""
