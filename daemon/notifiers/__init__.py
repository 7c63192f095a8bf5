"""Alerts: what is in trouble or well again, told once each to its owner; a file a target."""
