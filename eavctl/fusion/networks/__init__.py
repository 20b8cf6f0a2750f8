"""Networks that fuse features of several streams, each registered under ``fusion networks``."""
