"""Draw the page's sample pictures, for visitors who have none at hand.

    python -m tests.web.samples

They are scenes of `tests.web.scenes`: no photographs, nobody's rights.
"""

from __future__ import annotations

import io
import sys

from PIL import Image

from serving.api.pages import WEB
from tests.web.scenes import beach, dog, skier

SAMPLES = WEB / "samples"
SCENES = {"dog": dog, "beach": beach, "skier": skier}
SIZE = (480, 360)
"""More than the embedded model looks at, and light on the way."""


def jpeg(name: str) -> bytes:
    """Return the sample of a name as a JPEG."""
    image = SCENES[name]().resize(SIZE, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=72, optimize=True, progressive=True)
    return buffer.getvalue()


def main() -> int:
    """Write the samples."""
    SAMPLES.mkdir(exist_ok=True)
    for name in SCENES:
        (SAMPLES / f"{name}.jpg").write_bytes(jpeg(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
