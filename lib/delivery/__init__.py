"""Deliver one run: write its file, record it, note anomalies, diagnose sources. Knows no screen."""
