"""Embedded demonstration servers and their synthetic data. Reads no configuration."""
