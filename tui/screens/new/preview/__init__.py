"""Preview: what the model will see of each row."""
