"""The engine of the Marketing Data Aggregator; README.md says which module owns what."""

__version__ = "0.1.0"
