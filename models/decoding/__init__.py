"""From a decoder's scores to captions: search, sampling, constraints, wording."""
