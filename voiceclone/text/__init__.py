"""Text to phones: sentences, normalisation and pronunciation, each step with exact spans."""
