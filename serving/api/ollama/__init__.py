"""Ollama's interface, as far as a captioner can honour it."""
