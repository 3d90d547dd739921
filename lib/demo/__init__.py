"""The embedded demonstration servers and their synthetic data. Reads no configuration."""
