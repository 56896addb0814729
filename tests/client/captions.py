"""The lines that `captionbox caption` prints."""

from __future__ import annotations

from tests.client.stand_in import caption_of, picture


def lines(output: bytes) -> list[str]:
    """Return output line by line."""
    return output.decode().splitlines()


def line(number: int) -> str:
    """Return the line of a picture of the fixture `photos`."""
    return f"photos/{number}.jpg\t{caption_of(picture(str(number)))}"
