"""Layers and protocols that captioners and runtimes share."""
