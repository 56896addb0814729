"""What BentoML builds a container from. Read by `bentoml build`; no effect on a running server."""

from __future__ import annotations

from bentoml.images import Image

BASE_IMAGE = "python:3.11-slim"

# A distribution by name would have BentoML install a compiler and git first: 300 MB and a minute
# for packages that all come as wheels. "none" is none that it knows.
IMAGE = Image(base_image=BASE_IMAGE, distro="none")
"""The image that `bentoml containerize` makes; `make image` finishes it (deploy/Dockerfile)."""
