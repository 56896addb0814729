"""The small server of `captionbox review`: for this machine's browser alone.

It answers on loopback only, to who knows the secret in its address, which no other page does; a
text is written when a person accepts it, and nothing before.
"""

from __future__ import annotations

import json
import secrets
import threading
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from captionbox.cli.output.part_file import UnwritableError
from captionbox.cli.run.results import Captioned
from captionbox.cli.texts.accepted import Accepted
from captionbox.images import media_type

_PAGE = Path(__file__).with_name("review_page.html")
_POLICY = "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
_POLICY += "script-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_LARGEST = 64 * 1024
_THUMBNAIL = (320, 320)


class Review:
    """Images whose captions are looked at, and the server that shows them.

    Args:
        items: the images.
        accepted: where accepted texts go.
        port: to listen on; 0 for any.
    """

    def __init__(self, items: list[Captioned], accepted: Accepted, port: int = 0) -> None:
        self.items, self._accepted = items, accepted
        self._lock = threading.Lock()
        self.secret = secrets.token_urlsafe(16)
        self._server = _Server(("127.0.0.1", port), partial(_Handler, self))

    @property
    def url(self) -> str:
        """The page's address, with the secret."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self.secret}/"

    @property
    def hosts(self) -> set[str]:
        """What a request may name as its host: a page elsewhere has another name for us."""
        port = self._server.server_address[1]
        return {f"127.0.0.1:{port}", f"localhost:{port}"}

    def run(self) -> None:
        """Serve until `stop`, or an interruption."""
        self._server.serve_forever(0.2)

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()

    def told(self) -> list[dict[str, Any]]:
        """Return the images for the page."""
        return [
            {
                "name": it.source.encode("utf-8", "backslashreplace").decode(),
                "caption": it.caption,
                "confidence": it.confidence,
                "accepted": it.accepted,
            }
            for it in self.items
        ]

    def accept(self, number: int, text: str) -> None:
        """Write a text.

        Raises:
            IndexError: there is no such image.
            UnwritableError: it cannot be written.
        """
        item = self.items[number]
        with self._lock:
            self._accepted.write(item.source, text)
            item.accepted = text


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, review: Review, *arguments: Any) -> None:
        self._review = review
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer with the page, the list, or a picture."""
        path = self._inside()
        if path == "":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", _PAGE.read_bytes())
        elif path == "items":
            self._json(HTTPStatus.OK, self._review.told())
        elif path is not None and path.startswith(("picture/", "thumbnail/")):
            self._picture(*path.split("/", 1))
        else:
            self._json(HTTPStatus.NOT_FOUND, {"detail": "There is nothing here."})

    def do_POST(self) -> None:
        """Take an accepted text."""
        size = int(self.headers.get("Content-Length") or 0)
        kind = self.headers.get_content_type()
        if self._inside() != "accept" or kind != "application/json" or size > _LARGEST:
            self.close_connection = True
            self._json(HTTPStatus.NOT_FOUND, {"detail": "There is nothing here."})
            return
        try:
            told = json.loads(self.rfile.read(size))
            number, text = int(told["number"]), str(told["text"]).strip()
            if number < 0 or not text:
                raise ValueError("a text is accepted for an image, and has letters")
            self._review.accept(number, text)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self._json(HTTPStatus.BAD_REQUEST, {"detail": f"{error}"})
        except (OSError, UnwritableError) as error:
            self._json(HTTPStatus.CONFLICT, {"detail": f"{error}"})
        else:
            self._json(HTTPStatus.OK, {"accepted": text})

    def _inside(self) -> str | None:
        """Return the path behind the secret; None where that is not known."""
        begin = f"/{self._review.secret}/"
        known = self.headers.get("Host") in self._review.hosts
        return self.path.removeprefix(begin) if known and self.path.startswith(begin) else None

    def _picture(self, kind: str, number: str) -> None:
        try:
            source = self._review.items[int(number)].source
            content = Path(source).read_bytes()
        except (ValueError, IndexError, OSError):
            self._json(HTTPStatus.NOT_FOUND, {"detail": "The picture cannot be read."})
            return
        if kind == "thumbnail":
            content = _thumbnail(content)
        self._send(HTTPStatus.OK, media_type(content), content)

    def _json(self, status: HTTPStatus, content: object) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, max-age=600" if kind.startswith("image/") else "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the address has the secret in it."""


def _thumbnail(content: bytes) -> bytes:
    """Return a small JPEG; the picture itself where Pillow is missing or cannot read it."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return content
    try:
        with Image.open(BytesIO(content)) as image:
            image.draft("RGB", _THUMBNAIL)
            small = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return content
    small.thumbnail(_THUMBNAIL)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
