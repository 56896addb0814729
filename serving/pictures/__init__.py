"""From an upload or an address to the pixels a model reads."""
