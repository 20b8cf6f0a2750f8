"""Signal in, float32 out: pure functions, each set registered under ``features``."""
