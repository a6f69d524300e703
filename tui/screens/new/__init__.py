"""New: from nothing to a running job in five steps."""
