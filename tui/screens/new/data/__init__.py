"""Data: what is trained on, and how it is read."""
