"""Captioning data sets of any size, on one machine or many: Ray Data around a models/ captioner.

The floor above models/ and serving/: pictures are decoded by the very code that the server decodes
uploads with, and captioned by the very captioners it serves. Which folders are searched and how a
list is read are the command line client's rules.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_CLIENT = Path(__file__).resolve().parent.parent / "client" / "src"
if find_spec("captionbox") is None and _CLIENT.is_dir():
    # Of the clone; an installed client, or the one that Ray has brought, comes first.
    sys.path.append(str(_CLIENT))
