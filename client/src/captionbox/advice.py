"""What to do about an error, in a sentence each."""

from __future__ import annotations

_OF_KIND = {
    "unknown-model": "name one of those that `client.models()` lists, or none",
    "unsupported-option": "leave the option out, or name a model that has it: `client.models()`",
    "invalid-request": "correct the field that `errors` names",
    "no-matcher": "ask whoever runs the server to name a matcher in CAPTIONBOX_MATCHER",
    "urls-not-allowed": "send the picture itself, or use `Captionbox(fetch_urls=True)`",
    "too-many-pixels": "send a smaller picture: captions need no more than 1,000 pixels a side",
    "broken-image": "open the picture in another program; it is not complete",
}
"""By the kind of the server's problem, where that says more than the class."""

_OF_CLASS = {
    "ImageFetchError": "try again later; the picture's host does not answer now",
    "ImageInputError": "check that the picture is there, is no folder, and may be read",
    "APITimeoutError": "give more time (`timeout`), or ask for fewer captions, beams or tokens",
    "APIConnectionError": "check that the server runs, and CAPTIONBOX_BASE_URL or `base_url`",
    "UnexpectedAnswerError": "check the address, and that client and server are of one version",
    "BadRequestError": "look at `detail`; a proxy in between may have changed the request",
    "AuthenticationError": "set CAPTIONBOX_API_KEY, or give `api_key`",
    "PermissionDeniedError": "use a key that allows this",
    "NotFoundError": "check the address: it is the server's alone, without a path like /v1",
    "MethodNotAllowedError": "check the address: it is the server's alone, without a path",
    "RequestTimeoutError": "try again; send a smaller picture over a slow line",
    "PayloadTooLargeError": "send a smaller file: captions need no more than 1,000 pixels a side",
    "UnsupportedMediaTypeError": "convert the file to JPEG, PNG or WebP",
    "UnprocessableContentError": "correct what `detail` names: an option, or the picture",
    "RateLimitError": "ask with lower `concurrency`, or later",
    "ServiceUnavailableError": "try again later: the server is starting or has too much to do",
    "GatewayTimeoutError": "ask with lower `concurrency`, or raise the server's time limit",
    "BadGatewayError": "try again later; look whether the server behind the proxy runs",
    "ServerError": "look for the request id in the server's log",
    "APIStatusError": "look at `detail`",
    "CaptionboxError": "look at the message",
}


def advice(error: Exception) -> str:
    """Return what to do about an error of this package."""
    kind = getattr(getattr(error, "problem", None), "kind", None)
    if kind in _OF_KIND:
        return _OF_KIND[kind]
    names = (one.__name__ for one in type(error).__mro__)
    return next((_OF_CLASS[name] for name in names if name in _OF_CLASS), "")
