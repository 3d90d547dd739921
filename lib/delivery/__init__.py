"""Delivery of one run to its file and its record, with anomalies and diagnosis. Knows no screen."""
