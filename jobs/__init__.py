"""Captioning data sets of any size, on one machine or many: Ray Data around a models/ captioner.

The floor above models/ and serving/: pictures are decoded by the very code that the server decodes
uploads with, and captioned by the very captioners it serves.
"""
