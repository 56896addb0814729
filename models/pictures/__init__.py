"""One reader of pictures for serving, jobs and training: Pillow and NumPy only."""
