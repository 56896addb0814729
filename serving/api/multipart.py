"""Reads multipart forms as Starlette does, but knows a file by its field, too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

_NO_NAME = b'; filename=""'


class UploadParser(MultiPartParser):
    """Takes a part of a file's field for a file, whether or not it has a file's name.

    Many HTTP clients send bytes without one. To Starlette such a part is a text: of a field's size
    at most, and decoded.

    Args:
        headers: of the request.
        stream: its body.
        files: names of the fields that are files.
        max_files: most files.
        max_fields: most other parts.
        max_part_size: most bytes of a part that is no file.
    """

    def __init__(
        self,
        headers: Headers,
        stream: AsyncGenerator[bytes, None],
        *,
        files: Iterable[str],
        max_files: int,
        max_fields: int,
        max_part_size: int,
    ) -> None:
        super().__init__(
            headers,
            stream,
            max_files=max_files,
            max_fields=max_fields,
            max_part_size=max_part_size,
        )
        self._files = {name.encode() for name in files}

    def on_headers_finished(self) -> None:
        """Name the file that has no name, before Starlette looks for one."""
        disposition = self._current_part.content_disposition
        _, options = parse_options_header(disposition)
        if options.get(b"name") in self._files and b"filename" not in options:
            self._current_part.content_disposition = (disposition or b"") + _NO_NAME
        super().on_headers_finished()
