"""Model files as ONNX graphs: from features to calibrated probabilities."""
