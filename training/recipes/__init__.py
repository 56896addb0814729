"""Recipes, one file each, every one a `RECIPE`."""
