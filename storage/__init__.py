"""What lasts: the ledger, artifacts, and the formats that data comes in."""
