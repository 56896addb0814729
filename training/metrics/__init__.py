"""Caption scores, and captions of a whole split to be scored."""
