"""Ollama's interface, as far as a captioner can honour it."""

from serving.api.face import Face
from serving.api.ollama.errors import PREFIX, ollama_errors
from serving.api.ollama.routes import ollama_routes

FACE = Face("ollama", PREFIX, ollama_errors, ollama_routes)
