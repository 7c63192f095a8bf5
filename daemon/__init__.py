"""What runs: the reactor, the only writer of the ledger, and all that it is given and asked for."""
