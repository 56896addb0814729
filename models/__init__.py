"""Captioning methods: what they offer, their weights, how they decode. No HTTP, no services.

Importing this package, `models.interface` or `models.preprocessing` never imports torch, so that
the gateway process stays small.
"""
