"""Kafka topics as streams: read by offsets of our own, which the ledger keeps with the events."""
