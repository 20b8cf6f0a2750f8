"""Pretrained speech encoders behind one interface, and the checkpoints that they are loaded from."""
