"""Measurements of Captionbox beside what one would pick instead; `make bench` runs them."""
