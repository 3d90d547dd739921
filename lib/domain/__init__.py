"""Shared vocabulary: errors, columns, requests, results and messages. Imports no other room."""
