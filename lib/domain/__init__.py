"""Shared vocabulary: errors, columns, requests, results and messages; and what the system gives.

That is files, memory, signals and threads. Imports no other room.
"""
