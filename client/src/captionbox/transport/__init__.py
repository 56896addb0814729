"""How requests travel: proxies and certificates, retries, exchanges, windows of many at once."""
