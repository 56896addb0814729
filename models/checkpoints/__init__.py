"""Reads checkpoints as others publish them: what the converters share. No torch here."""
