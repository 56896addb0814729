"""Where captions go: formats, files, the terminal, exit codes."""
