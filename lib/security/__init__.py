"""Permissions, the audit trail, and redaction of logs. Draws no screen."""
