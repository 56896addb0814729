"""Method names and the classes behind them; imports a method's code only when it is used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from models.interface import Captioner
from models.metadata import BrokenModelError, read

METHODS: dict[str, str] = {
    "compact": "models.cnn_transformer_captioner:CompactCaptioner",
    "tf-tutorial": "models.cnn_transformer_captioner:TfTutorialCaptioner",
    "keras-example": "models.cnn_transformer_captioner:KerasExampleCaptioner",
}
"""Method name to `module:class`."""


def captioner_class(method: str) -> type[Captioner]:
    """Return the class of a method.

    Raises:
        BrokenModelError: no method has this name.
    """
    try:
        module, name = METHODS[method].split(":")
    except KeyError:
        known = ", ".join(METHODS)
        raise BrokenModelError(f"unknown method {method!r}; known: {known}") from None
    found: type[Captioner] = getattr(import_module(module), name)
    return found


def load_captioner(directory: Path) -> Captioner:
    """Load whatever captioner a model directory holds.

    Raises:
        BrokenModelError: the directory is no Captionbox model, or it is damaged.
    """
    return captioner_class(read(directory).method).load(directory)
