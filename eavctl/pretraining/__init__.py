"""Self-supervised pretraining: an encoder is trained on feature tables without their labels."""
