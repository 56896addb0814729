"""A run over many images: progress, counts, when to stop."""
