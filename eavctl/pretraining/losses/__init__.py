"""Losses of self-supervised pretraining: pure functions of tensors, one a module, each with its paper."""
