"""The engine's work: batches of captions and matches."""
