"""Methods of self-supervised pretraining, each registered under ``pretraining methods``."""
