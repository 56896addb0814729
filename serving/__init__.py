"""The HTTP side of Captionbox. Uses `models` for types and specs only; never imports torch."""
