"""Rows of training data: from files to examples, statistics and problems. Light."""
