"""`image-text-to-text`: the captioners of transformers."""
