"""What is wrong with a run, by rules over its events: one sentence with a number, and a remedy."""
