"""Try a model of the hub here, beside transformers: `python -m models verify NAME`.

The published weights cannot be had where this is built. Whoever runs them can: the report tells
what every number format made of three drawn pictures, and whether the reference, float32, writes
token for token what transformers' own processor and `generate()` do.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, VisionEncoderDecoderModel

from models.api.captioner import Captioner
from models.api.device import Precision
from models.api.options import CaptionOptions
from models.api.preprocessing import normalisation
from models.captioners.vlm.captioner import ImageTextToTextCaptioner
from models.captioners.vlm.families.chat import Chat
from models.checkpoints.pretrained import ModelImportError
from models.hub.known_models import IMPORTED_FROM, find_known
from models.hub.repository import HubModel
from models.hub.samples import draw_samples
from models.pictures.sizing import to_pixels
from models.registry import captioner_class, find_method, load_captioner
from models.runtimes.formats import formats
from models.runtimes.processor import processor_name
from models.store import StoredModel

_LONGEST = 24
_WEIGHTS = (".safetensors", ".bin", ".index.json")


@dataclass
class Trial:
    """What one number format made of the pictures.

    Attributes:
        precision: the format.
        captions: by picture.
        seconds: that each took, the first of all left out.
    """

    precision: Precision
    captions: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Report:
    """What has been found out about a model.

    Attributes:
        model: in the store.
        trials: one a number format, float32 first.
        same: whether the tokens are transformers', by picture; empty where they were not compared.
        grey_levels: by how much pixels differ from the processor's at most; None where the two
            cannot be compared.
        why_not: why nothing was compared, if nothing was.
    """

    model: StoredModel
    trials: list[Trial] = field(default_factory=list)
    same: dict[str, bool] = field(default_factory=dict)
    grey_levels: float | None = None
    why_not: str = ""

    @property
    def good(self) -> bool:
        """Whether the reference was compared, and is the same."""
        return bool(self.same) and all(self.same.values())

    def markdown(self) -> str:
        """Return the report as text to paste."""
        about = self.model.metadata
        known = find_known(self.model.name)
        packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
        lines = [
            f"### verify {known.name if known else self.model.name}",
            "",
            f"- {about.source.removeprefix(IMPORTED_FROM)}, {about.parameters / 1e6:.0f} M weights",
            f"- {packages}, Python {platform.python_version()}, {processor_name()}",
            f"- {self._compared()}",
            "",
            "| format | picture | caption | seconds |",
            "|---|---|---|---|",
        ]
        for trial in self.trials:
            for (picture, caption), seconds in zip(
                trial.captions.items(), trial.seconds, strict=True
            ):
                lines.append(f"| {trial.precision} | {picture} | {caption} | {seconds:.2f} |")
        return "\n".join(lines) + "\n"

    def _compared(self) -> str:
        if self.why_not:
            return f"not compared with transformers: {self.why_not}"
        same = sum(self.same.values())
        pixels = (
            "pixels of another shape"
            if self.grey_levels is None
            else f"pixels differ by at most {self.grey_levels:.2g} grey levels"
        )
        return (
            f"float32, greedy: {same} of {len(self.same)} pictures token for token as "
            f"transformers' own processor and generate(); {pixels}"
        )


def verify(model: StoredModel) -> Report:
    """Caption the drawn pictures with a stored model, and with transformers.

    Raises:
        ValueError: the model writes no captions.
        models.api.metadata.BrokenModelError: it is damaged.
    """
    method = model.metadata.method
    if find_method(method).kind != "captioner":
        raise ValueError(f"{model.tag} is a matcher: it writes no captions to compare")
    report, pictures = Report(model), draw_samples()
    available = formats("torch")
    for precision in captioner_class(method).precisions:
        if precision not in available:
            continue
        captioner = load_captioner(model.path, precision)
        report.trials.append(_try(captioner, precision, pictures))
        if precision == "fp32":
            try:
                _compare(report, captioner, pictures)
            except Exception as error:  # of transformers' processors there is any kind
                report.why_not = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return report


def _options() -> CaptionOptions:
    return CaptionOptions(num_beams=1, max_length=_LONGEST)


def _try(captioner: Captioner, precision: Precision, pictures: dict[str, Image.Image]) -> Trial:
    """Caption the pictures one by one."""
    trial = Trial(precision)
    first = True
    for name, picture in pictures.items():
        pixels = to_pixels(picture, captioner.preprocess)[None]
        if first:
            captioner.caption(pixels, _options())
            first = False
        started = time.perf_counter()
        trial.captions[name] = captioner.caption(pixels, _options())[0][0].text
        trial.seconds.append(time.perf_counter() - started)
    return trial


def _compare(report: Report, captioner: Any, pictures: dict[str, Image.Image]) -> None:
    """Fill in how float32 compares with transformers."""
    found = _repository(report.model)
    # Everything but the weights: what transformers' processor is made of.
    folder = found.fetch([file for file in found.needed() if not file.endswith(_WEIGHTS)])
    try:
        _compare_with(report, captioner, pictures, folder)
    finally:
        found.discard()


def _compare_with(
    report: Report, captioner: Any, pictures: dict[str, Image.Image], folder: Path
) -> None:
    worst: float | None = 0.0
    for name, picture in pictures.items():
        pixels = to_pixels(picture, captioner.preprocess)[None]
        ours = _tokens(captioner, pixels)
        if isinstance(captioner, ImageTextToTextCaptioner):
            theirs, seen = _family_reference(captioner, folder, picture)
        else:
            theirs, seen = _encoder_decoder_reference(report.model.path, folder, picture)
        report.same[name] = _ends_with(theirs, ours, _ends(captioner))
        if worst is not None:
            differ = _grey_levels(captioner, pixels, seen)
            worst = None if differ is None else max(worst, differ)
    report.grey_levels = worst


def _repository(model: StoredModel) -> HubModel:
    """Return the commit on the hub that a model came from.

    Raises:
        ModelImportError: it did not come from the hub, or the hub cannot be reached.
    """
    hub_id, at, commit = model.metadata.source.removeprefix(IMPORTED_FROM).partition("@")
    if not at:
        raise ModelImportError("it was not imported from the hub")
    return HubModel.find(hub_id, commit)


def _tokens(captioner: Any, pixels: NDArray[np.uint8]) -> list[int]:
    """Return the tokens that a captioner of ours writes for one picture."""
    with torch.inference_mode():
        if isinstance(captioner, ImageTextToTextCaptioner):
            ((best,),) = captioner._decode(pixels, [_options()])
        else:
            ((best,),) = captioner._decode(captioner.decoder.encode(pixels), [_options()])
    return list(best.tokens)


def _ends(captioner: Any) -> Sequence[int]:
    if isinstance(captioner, ImageTextToTextCaptioner):
        return captioner.family.end_ids
    return (captioner.network.eos_id,)


def _family_reference(
    captioner: ImageTextToTextCaptioner, folder: Path, picture: Image.Image
) -> tuple[list[int], Any]:
    """Return all tokens that transformers has after captioning, and the pixels that it saw."""
    family, prompt = captioner.family, captioner.defaults.prompt
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    if isinstance(family, Chat):
        content = [{"type": "image", "image": picture}, {"type": "text", "text": prompt}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=family.tokenizer.chat_template or family.template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    else:
        text = {} if prompt is None else {"text": prompt}
        inputs = processor(images=picture, return_tensors="pt", **text)
    # A forced start counts as new.
    longest = _LONGEST + (1 if family.config.is_encoder_decoder else 0)
    tokens = family.network.generate(**inputs, **_greedily(captioner, longest))
    return tokens[0].tolist(), inputs.get("pixel_values")


def _encoder_decoder_reference(
    directory: Path, folder: Path, picture: Image.Image
) -> tuple[list[int], Any]:
    """The same of a `VisionEncoderDecoderModel`."""
    network = VisionEncoderDecoderModel.from_pretrained(directory, dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    pixels = processor(picture, return_tensors="pt")["pixel_values"]
    tokens = network.generate(pixels, num_beams=1, do_sample=False, max_new_tokens=_LONGEST)
    return tokens[0].tolist(), pixels


def _greedily(captioner: Captioner, longest: int) -> dict[str, Any]:
    return {
        "num_beams": 1,
        "do_sample": False,
        "max_new_tokens": longest,
        "no_repeat_ngram_size": captioner.defaults.no_repeat_ngram,
    }


def _ends_with(theirs: list[int], ours: list[int], ends: Sequence[int]) -> bool:
    """Whether a text ends with our tokens, whichever end token and padding it has."""
    found = [ends[0] if token in ends else token for token in theirs]
    if ours[-1] == ends[0]:
        while found[-2:] == [ends[0], ends[0]]:
            found.pop()
    return found[-len(ours) :] == ours


def _grey_levels(captioner: Captioner, pixels: NDArray[np.uint8], seen: Any) -> float | None:
    """Return by how much the pixels differ at most, 0..255; None for those of another shape."""
    scale, offset = normalisation(captioner.preprocess)
    ours = pixels * scale[:, None, None] + offset[:, None, None]  # [1, 3, H, W]
    if not isinstance(seen, torch.Tensor) or seen.numel() != ours.size or seen.ndim < 4:
        return None
    theirs = seen.reshape(ours.shape).numpy()
    return float((np.abs(theirs - ours) / scale[:, None, None]).max())
