"""Python SDK of Captionbox, the self-hosted image captioning server.

```python
from captionbox import Captionbox

with Captionbox("http://localhost:3000") as client:
    print(client.caption("photo.jpg").text)
```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from captionbox.version import __version__

if TYPE_CHECKING:
    from captionbox.async_client import AsyncCaptionbox
    from captionbox.client import Captionbox
    from captionbox.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadGatewayError,
        BadRequestError,
        CaptionboxError,
        CaptionboxVersionWarning,
        GatewayTimeoutError,
        ImageFetchError,
        ImageInputError,
        InternalServerError,
        MethodNotAllowedError,
        NotFoundError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RateLimitError,
        RequestTimeoutError,
        ServerError,
        ServiceUnavailableError,
        UnexpectedAnswerError,
        UnprocessableContentError,
        UnsupportedMediaTypeError,
    )
    from captionbox.images import ImageInput
    from captionbox.options import CaptionOptions
    from captionbox.outcomes import Outcome
    from captionbox.problems import FieldProblem, Problem
    from captionbox.results import (
        Caption,
        CaptionResult,
        ImageInfo,
        Match,
        MatchResult,
        ModelInfo,
        ModelUsed,
        Timing,
        WordAttention,
    )

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncCaptionbox",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "Caption",
    "CaptionOptions",
    "CaptionResult",
    "Captionbox",
    "CaptionboxError",
    "CaptionboxVersionWarning",
    "FieldProblem",
    "GatewayTimeoutError",
    "ImageFetchError",
    "ImageInfo",
    "ImageInput",
    "ImageInputError",
    "InternalServerError",
    "Match",
    "MatchResult",
    "MethodNotAllowedError",
    "ModelInfo",
    "ModelUsed",
    "NotFoundError",
    "Outcome",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Problem",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "ServiceUnavailableError",
    "Timing",
    "UnexpectedAnswerError",
    "UnprocessableContentError",
    "UnsupportedMediaTypeError",
    "WordAttention",
    "__version__",
]

_MODULES = (
    "errors",
    "options",
    "images",
    "problems",
    "results",
    "outcomes",
    "client",
    "async_client",
)
"""Where the names live, the light modules first."""


def __getattr__(name: str) -> object:
    # Loaded on first use: `import captionbox` alone costs a millisecond, not httpx and pydantic.
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
