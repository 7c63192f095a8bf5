"""Loops through outside writes and storms of arrivals: found, told, stopped."""
