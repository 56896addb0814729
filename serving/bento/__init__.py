"""Where the service hooks into BentoML: processes, their supervision, tracing."""
