"""Streams in the daemon: where their rows are, and what becomes of small and old segments."""
