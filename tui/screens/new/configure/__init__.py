"""Configure: every setting, and what it does."""
