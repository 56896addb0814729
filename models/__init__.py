"""Captioning methods: what they offer, their weights, how they decode. No HTTP, no services.

Importing this package, `models.api` or `models.registry` never imports torch, so that the gateway
process stays small.
"""
