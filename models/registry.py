"""Every method: its class, the options it honours, the hub models it can import.

One table, read without importing any method's code: the gateway, which has no torch, learns here
what a served model honours.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from models.api.captioner import Captioner
from models.api.device import CPU, Backend, BackendError, Device, Precision
from models.api.matcher import Matcher
from models.api.metadata import BrokenModelError, ModelMetadata, read
from models.api.options import DECODING_OPTIONS, OptionName
from models.captioners.vlm.families import ARCHITECTURES
from models.runtimes.formats import require

Kind = Literal["captioner", "matcher"]


@dataclass(frozen=True)
class Method:
    """A method, as far as it is known without its code.

    Attributes:
        implementation: `module:class` of its `Captioner` or `Matcher`.
        honours: every option that one of its models may honour, as its class says; see
            `honoured_options`.
        architectures: values of `architectures` in a hub model's `config.json` that the method can
            import.
        converter: `module:function` of a `models.checkpoints.pretrained.Convert`; empty where
            nothing is imported.
        kind: a captioner writes captions, a matcher tells how well texts fit a picture.
        openvino: `module:class` of a captioner that runs on OpenVINO; empty where there is none.
    """

    implementation: str
    honours: frozenset[OptionName]
    architectures: tuple[str, ...] = ()
    converter: str = ""
    kind: Kind = "captioner"
    openvino: str = ""


METHODS: dict[str, Method] = {
    "compact": Method(
        "models.captioners.cnn_transformer.captioner:CompactCaptioner",
        DECODING_OPTIONS | {"attention"},
        openvino="models.captioners.cnn_transformer.openvino_captioner:CompactOpenVinoCaptioner",
    ),
    "tf-tutorial": Method(
        "models.captioners.cnn_transformer.captioner:TfTutorialCaptioner",
        DECODING_OPTIONS | {"attention"},
        openvino="models.captioners.cnn_transformer.openvino_captioner:TfTutorialOpenVinoCaptioner",
    ),
    "keras-example": Method(
        "models.captioners.cnn_transformer.captioner:KerasExampleCaptioner",
        DECODING_OPTIONS | {"attention"},
        openvino="models.captioners.cnn_transformer.openvino_captioner:KerasExampleOpenVinoCaptioner",
    ),
    "vit-gpt2": Method(
        "models.captioners.vit_gpt2.captioner:VitGpt2Captioner",
        DECODING_OPTIONS | {"attention"},
        architectures=("VisionEncoderDecoderModel",),
        converter="models.captioners.vit_gpt2.convert:convert",
        openvino="models.captioners.vit_gpt2.openvino_captioner:VitGpt2OpenVinoCaptioner",
    ),
    "bridgetower": Method(
        "models.matchers.bridgetower.matcher:BridgeTowerMatcher",
        frozenset(),
        # Checkpoints with several heads name one of them; the weights tell whether ours is there.
        (
            "BridgeTowerForImageAndTextRetrieval",
            "BridgeTowerForMaskedLM",
            "BridgeTowerForContrastiveLearning",
        ),
        "models.matchers.bridgetower.convert:convert",
        kind="matcher",
    ),
    "image-text-to-text": Method(
        "models.captioners.vlm.captioner:ImageTextToTextCaptioner",
        DECODING_OPTIONS | {"prompt"},
        ARCHITECTURES,
        "models.captioners.vlm.convert:convert",
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
    return metadata.honoured(find_method(metadata.method).honours)


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


def captioner_class(method: str, backend: Backend = "torch") -> type[Captioner]:
    """Return the class of a captioning method.

    Raises:
        BackendError: the method does not run on `backend`.
        BrokenModelError: no captioning method has this name.
    """
    found: type[Captioner]
    if backend == "torch":
        found = _implementation(method, "captioner")
    else:
        path = find_method(method).openvino
        if not path:
            raise BackendError(
                f"the method {method!r} runs on torch only; the backend `auto` takes OpenVINO for "
                "the models that have it"
            )
        found = load_object(path)
    return found


def load_captioner(
    directory: Path,
    precision: Precision = "fp32",
    backend: Backend = "torch",
    device: Device = CPU,
) -> Captioner:
    """Load whatever captioner a model directory holds.

    Args:
        directory: the model's.
        precision: what it is to compute in; float32 is the reference.
        backend: what runs it.
        device: where it lives.

    Raises:
        BackendError: the model does not run on `backend`, or that not on `device`.
        BrokenModelError: the directory holds no captioner of ours, or it is damaged.
        ValueError: the method cannot compute in `precision`; as
            `models.runtimes.formats.PrecisionError`, the device cannot.
    """
    kind = captioner_class(read(directory).method, backend)
    if precision not in kind.precisions:
        raise ValueError(
            f"the method {kind.method!r} computes in {' or '.join(kind.precisions)}, "
            f"not in {precision}"
        )
    require(precision, backend, device)
    return kind.load(directory, precision, device)


def load_matcher(directory: Path, device: Device = CPU) -> Matcher:
    """Load whatever matcher a model directory holds, to live on `device`.

    Raises:
        BrokenModelError: the directory holds no matcher of ours, or it is damaged.
    """
    found: type[Matcher] = _implementation(read(directory).method, "matcher")
    return found.load(directory, device)


def load_any(directory: Path) -> Captioner | Matcher:
    """Load whatever model a directory holds.

    Raises:
        BrokenModelError: the directory is no Captionbox model, or it is damaged.
    """
    matcher = find_method(read(directory).method).kind == "matcher"
    return load_matcher(directory) if matcher else load_captioner(directory)


def _implementation(name: str, kind: str) -> Any:
    method = find_method(name)
    if method.kind != kind:
        raise BrokenModelError(f"the method {name!r} is a {method.kind}, not a {kind}")
    return load_object(method.implementation)
