"""The Marketing Data Aggregator, divided into rooms (packages); ARCHITECTURE.md lists them."""

__version__ = "0.1.0"
