"""From a row to text, and from text to token ids and labels. Light."""
