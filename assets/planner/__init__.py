"""What is stale, what may run, on which cut, and why: pure, `step(state, change) -> commands`."""
