"""The Hugging Face Hub: search, facts, files and tokens, with and without a connection."""
