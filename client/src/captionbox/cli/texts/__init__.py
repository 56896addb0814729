"""Texts where people look for them: beside pictures, in their metadata, in pages."""
