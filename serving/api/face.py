"""What a compatible face is: another software's interface, as a thin translation into our own.

Each is a folder here with all that it has; `serving.app` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from fastapi.routing import APIRoute

from serving.base.settings import Settings
from serving.http.auth import take_keys_from
from serving.http.faces import name_face
from serving.http.problem_answers import Shape, shape_errors


class Face(NamedTuple):
    """A compatible face.

    Attributes:
        name: in metrics and log.
        prefix: its paths begin with it.
        errors: how it has errors, also those that arise where none of its code runs.
        routes: its routes, given the server's settings.
        key_header: header that its clients send their key in, in small letters; none where that is
            one of ours.
    """

    name: str
    prefix: str
    errors: Shape
    routes: Callable[[Settings], Iterable[APIRoute]]
    key_header: str = ""

    def register(self) -> None:
        """Have what lies before all routes know it."""
        name_face(self.prefix, self.name)
        shape_errors(self.prefix, self.errors)
        if self.key_header:
            take_keys_from(self.key_header)
