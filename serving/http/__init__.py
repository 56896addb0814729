"""ASGI middleware around every route: access, keys, limits, errors."""
