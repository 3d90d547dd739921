"""One run brought to its file and its record: history, anomalies and diagnosis. Knows no screen."""
