"""Attempts: from the task that a worker is given to the rows of how it ended."""
