"""The planner's state, rebuilt from the ledger."""
