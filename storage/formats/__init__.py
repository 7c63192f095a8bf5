"""Formats of files: one file a format, all to Arrow and back."""
