"""Models: find one, see whether it fits, and use it."""
