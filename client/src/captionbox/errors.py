"""Every error this package raises, one tree under `CaptionboxError`.

```
CaptionboxError
├── ImageInputError              the image cannot be read on this side; nothing was sent
│   └── ImageFetchError          its host on the web does not answer, or not now
├── APIConnectionError           no answer: not reachable, or the connection broke
│   └── APITimeoutError          no answer in time
├── UnexpectedAnswerError        an answer came that this version of the package cannot read
└── APIStatusError               the server refused or failed; one class a status below
    ├── BadRequestError          400
    ├── AuthenticationError      401
    ├── PermissionDeniedError    403
    ├── NotFoundError            404
    ├── MethodNotAllowedError    405
    ├── RequestTimeoutError      408
    ├── PayloadTooLargeError     413
    ├── UnsupportedMediaTypeError 415
    ├── UnprocessableContentError 422
    ├── RateLimitError           429
    └── ServerError              every 5xx
        ├── InternalServerError  500
        ├── BadGatewayError      502
        ├── ServiceUnavailableError 503
        └── GatewayTimeoutError  504
```

All of them can be pickled, so they pass through process pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from captionbox.advice import advice

if TYPE_CHECKING:
    from captionbox.problems import FieldProblem, Problem


class CaptionboxError(Exception):
    """Something went wrong while asking the server."""

    transient: ClassVar[bool] = False
    """Whether asking the same again later may well succeed."""

    @property
    def request_id(self) -> str | None:
        """The request's identity, also in the server's log; None where nothing was sent."""
        return getattr(self, "_request_id", None)

    @property
    def advice(self) -> str:
        """What to do about it, in a sentence."""
        return advice(self)

    def of_request(self, request_id: str | None) -> Self:
        """Note which request it was; return the error itself."""
        self._request_id = request_id
        return self


class CaptionboxVersionWarning(UserWarning):
    """Server and package may not understand each other. Warned once a client."""


class ImageInputError(CaptionboxError):
    """The image cannot be read on this side: no such file, a broken data: URL, nothing in it."""


class ImageFetchError(ImageInputError):
    """The image's host does not answer, or not now. Only where images are fetched on this side."""

    transient = True


class APIConnectionError(CaptionboxError):
    """No answer: the server is not reachable, or the connection broke and retries did not help."""

    transient = True


class APITimeoutError(APIConnectionError):
    """The server took the request, then no answer in time. Not retried: it may still be at it."""


class UnexpectedAnswerError(CaptionboxError):
    """An answer came that is not Captionbox's, or not of a version that this package can read."""


class APIStatusError(CaptionboxError):
    """The server answered with an error status.

    Args:
        problem: what the server said (RFC 9457).
        retry_after: seconds after which the server wants to be asked again, where it said so.
    """

    def __init__(self, problem: Problem, retry_after: float | None = None) -> None:
        super().__init__(problem, retry_after)
        self.problem, self.retry_after = problem, retry_after

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self.problem.status

    @property
    def type(self) -> str:
        """Kind of problem, a relative URI reference such as `/problems/broken-image`."""
        return self.problem.type

    @property
    def title(self) -> str:
        """The kind of problem in words."""
        return self.problem.title

    @property
    def detail(self) -> str | None:
        """What happened this time."""
        return self.problem.detail

    @property
    def errors(self) -> list[FieldProblem]:
        """The fields at fault, where fields are."""
        return self.problem.errors

    @property
    def request_id(self) -> str | None:
        """The request's identity, also in the server's log."""
        return self.problem.request_id or super().request_id

    def __str__(self) -> str:
        text = f"{self.status} {self.title}"
        if self.detail:
            text += f": {self.detail}"
        known = self.problem.request_id
        return f"{text} (request id {known})" if known else text


class BadRequestError(APIStatusError):
    """400: the server could not make sense of the request."""


class AuthenticationError(APIStatusError):
    """401: the server wants an API key, and a valid one."""


class PermissionDeniedError(APIStatusError):
    """403: the API key is good but does not allow this."""


class NotFoundError(APIStatusError):
    """404: no such model, or the server has no such route."""


class MethodNotAllowedError(APIStatusError):
    """405: the address does not take that method; usually the base URL is wrong."""


class RequestTimeoutError(APIStatusError):
    """408: the upload came too slowly for the server. Sent again before it is raised."""

    transient = True


class PayloadTooLargeError(APIStatusError):
    """413: the upload is larger than the server allows (20 MiB unless its owner changed that)."""


class UnsupportedMediaTypeError(APIStatusError):
    """415: the file is not a picture of a format that the server reads."""


class UnprocessableContentError(APIStatusError):
    """422: the picture is damaged or too large, or an option is out of range or not honoured."""


class RateLimitError(APIStatusError):
    """429: as many requests as the server allows are in progress. Retried before it is raised."""

    transient = True


class ServerError(APIStatusError):
    """5xx: the server's fault."""

    transient = True


class InternalServerError(ServerError):
    """500: a fault in the server. Not retried: the same request would likely meet it again."""


class BadGatewayError(ServerError):
    """502: a proxy in front of the server got no usable answer from it."""


class ServiceUnavailableError(ServerError):
    """503: the server is starting or overloaded. Retried before it is raised."""


class GatewayTimeoutError(ServerError):
    """504: the server had no answer in time. Not retried: it may still be at work on it."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    408: RequestTimeoutError,
    413: PayloadTooLargeError,
    415: UnsupportedMediaTypeError,
    422: UnprocessableContentError,
    429: RateLimitError,
    500: InternalServerError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: GatewayTimeoutError,
}


def status_error(problem: Problem, retry_after: float | None = None) -> APIStatusError:
    """Return the error for `problem`, of the class that belongs to its status."""
    default = ServerError if problem.status >= 500 else APIStatusError
    return _BY_STATUS.get(problem.status, default)(problem, retry_after)
