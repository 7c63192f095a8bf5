"""The ledger: the metadata database, the one source of truth."""
