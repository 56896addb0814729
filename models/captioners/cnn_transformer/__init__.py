"""A CNN and a transformer decoder: `compact` and two tutorials' captioners."""
