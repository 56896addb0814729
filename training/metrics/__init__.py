"""Caption scores: what they are, how they are computed."""
