"""Networks that map a batch to embeddings, each registered under ``encoders``."""
