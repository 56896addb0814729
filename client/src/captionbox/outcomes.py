"""What became of one image among many: captions, or the error, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from captionbox.errors import CaptionboxError
from captionbox.images import ImageInput
from captionbox.results import CaptionResult

Image_co = TypeVar("Image_co", bound=ImageInput, covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Image_co]):
    """One image's result or error; exactly one of the two is not None.

    Attributes:
        index: position of the image in what was given, from 0.
        image: as it was given.
        result: its captions.
        error: why there are none.
    """

    index: int
    image: Image_co
    result: CaptionResult | None = None
    error: CaptionboxError | None = None

    def unwrap(self) -> CaptionResult:
        """Return the result.

        Raises:
            CaptionboxError: there is none; this is why.
        """
        if self.result is None:
            raise self.error or CaptionboxError("neither result nor error")
        return self.result
