"""Recipes: one JSON file each, found by its name, and what they are made of."""
