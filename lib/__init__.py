"""The engine of the Marketing Data Aggregator, in rooms; ARCHITECTURE.md draws them."""

__version__ = "0.1.0"
