"""Every captioning method: its class, the options it honours, the hub models it can import.

One table, read without importing any method's code: the gateway, which has no torch, learns here
what a served model honours.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from models.interface import Captioner, OptionName
from models.metadata import BrokenModelError, ModelMetadata, read

_DECODING: frozenset[OptionName] = frozenset(
    {
        "num_captions",
        "num_beams",
        "max_length",
        "length_penalty",
        "temperature",
        "top_p",
        "seed",
    }
)
"""Options of `models.decoding`."""


@dataclass(frozen=True)
class Method:
    """A captioning method, as far as it is known without its code.

    Attributes:
        captioner: `module:class` of its `Captioner`.
        honours: every option that one of its models may honour; see `honoured_options`.
        architectures: values of `architectures` in a hub model's `config.json` that the method can
            import.
        converter: `module:function` of a `models.importing.Convert`; empty where nothing is
            imported.
    """

    captioner: str
    honours: frozenset[OptionName]
    architectures: tuple[str, ...] = ()
    converter: str = ""


METHODS: dict[str, Method] = {
    "compact": Method(
        "models.cnn_transformer_captioner:CompactCaptioner", _DECODING | {"attention"}
    ),
    "tf-tutorial": Method(
        "models.cnn_transformer_captioner:TfTutorialCaptioner", _DECODING | {"attention"}
    ),
    "keras-example": Method(
        "models.cnn_transformer_captioner:KerasExampleCaptioner", _DECODING | {"attention"}
    ),
    "vit-gpt2": Method(
        "models.vit_gpt2_captioner:VitGpt2Captioner",
        _DECODING | {"attention"},
        architectures=("VisionEncoderDecoderModel",),
        converter="models.vit_gpt2_import:convert",
    ),
}
"""Method name to method."""


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises:
        BrokenModelError: no method has this name.
    """
    try:
        return METHODS[name]
    except KeyError:
        known = ", ".join(METHODS)
        raise BrokenModelError(f"unknown method {name!r}; known: {known}") from None


def honoured_options(metadata: ModelMetadata) -> frozenset[OptionName]:
    """Return the options that a model honours: its method's, or fewer where it says so.

    Raises:
        BrokenModelError: its method is unknown.
    """
    honours = find_method(metadata.method).honours
    return honours if metadata.options is None else honours & frozenset(metadata.options)


def method_of_architecture(architecture: str) -> str | None:
    """Return the name of the method that imports an architecture, or None."""
    for name, method in METHODS.items():
        if architecture in method.architectures:
            return name
    return None


def load_object(path: str) -> Any:
    """Return what `module:name` stands for; imports the module."""
    module, name = path.split(":")
    return getattr(import_module(module), name)


def captioner_class(method: str) -> type[Captioner]:
    """Return the class of a method.

    Raises:
        BrokenModelError: no method has this name.
    """
    found: type[Captioner] = load_object(find_method(method).captioner)
    return found


def load_captioner(directory: Path) -> Captioner:
    """Load whatever captioner a model directory holds.

    Raises:
        BrokenModelError: the directory is no Captionbox model, or it is damaged.
    """
    return captioner_class(read(directory).method).load(directory)
