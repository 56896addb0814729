"""COCO-format caption data: find the files, check them, pair every picture with its references.

Layouts that are found, `DIR` being what `--data` names (`--layout` names one of several):

- official: `DIR/annotations/captions_train2017.json` with pictures in `DIR/train2017/`,
  `DIR/images/train2017/` or the same under `DIR/cocoapi/` (2014 likewise);
- plain: `DIR/annotations/captions_train.json` with pictures in `DIR/images/`;
- Karpathy's: `DIR/dataset_*.json`, pictures beside it, in `DIR/images/` or in their `filepath`.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pycocotools.coco import COCO

from training.data.layouts import Layout, find_layouts
from training.data.words import has_word, without_blanks

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", int, str)

_KARPATHY_TRAIN = {"train": ("train", "restval")}


class DataError(ValueError):
    """A data set cannot be used; the message names the file, the entry and the reason."""

    def __init__(self, message: str) -> None:
        # A data loader hands a worker's error on with the worker's traceback before it.
        super().__init__(message.rpartition("DataError: ")[2].strip())


@dataclass(frozen=True)
class CaptionedImage:
    """One picture and everything people wrote about it.

    Attributes:
        image_id: id in its annotation file.
        path: the picture's file.
        references: human captions, at least one.
    """

    image_id: int
    path: Path
    references: tuple[str, ...]


@dataclass(frozen=True)
class Unreadable:
    """A picture that was left out, and why."""

    image: CaptionedImage
    reason: str


@dataclass(frozen=True)
class CaptionData:
    """One split of one data set.

    Attributes:
        name: e.g. `flickr8k/val`.
        images: in ascending order of image id.
        unreadable: pictures of the split that are not in `images`; empty until somebody looks
            (`training.data.pictures.without_unreadable`).
    """

    name: str
    images: tuple[CaptionedImage, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.images)

    @property
    def captions(self) -> list[str]:
        """All references, picture by picture."""
        return [text for image in self.images for text in image.references]

    @property
    def all_images(self) -> tuple[CaptionedImage, ...]:
        """The unreadable ones too, in ascending order of image id."""
        everything = (*self.images, *(fault.image for fault in self.unreadable))
        return tuple(sorted(everything, key=lambda image: image.image_id))


def load_split(directory: Path, split: str, layout: str | None = None) -> CaptionData:
    """Find and read one split of the data set in `directory`.

    Args:
        directory: root of the data set, in any layout of this module.
        split: `train`, `val` or `test`.
        layout: which to take of several, see `training.data.layouts`.

    Raises:
        DataError: no such split was found, its annotations are broken, its captions have no words
            that could be learnt or scored, or there are several layouts and `layout` names none.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: no such folder")
    name = f"{directory.resolve().name}/{split}"
    found = _layout(directory, layout)
    if found is not None and found.karpathy is not None:
        data = CaptionData(name, read_karpathy(found.karpathy, split))
    elif found is not None and found.annotations(split).is_file():
        data = CaptionData(name, read_coco(found.annotations(split), found.folders(split)))
    else:
        raise DataError(
            f"{directory}: no captions for the split {split!r}; looked for "
            f"annotations/captions_{split}[2017|2014].json and dataset_*.json"
        )
    if fault := without_blanks(data.captions):
        raise DataError(f"{name}: {fault}")
    return data


def _layout(directory: Path, wanted: str | None) -> Layout | None:
    """Return the layout of a folder, or of several the wanted one; None where there is none."""
    found = find_layouts(directory)
    if len(found) < 2:
        return next(iter(found.values()), None)
    if wanted in found:
        return found[wanted]
    asked = "" if wanted is None else f", not {wanted!r}"
    raise DataError(
        f"{directory}: holds captions in several layouts, whose splits may share pictures: "
        f"{', '.join(found)}; name one with --layout{asked}"
    )


def read_coco(annotations: Path, folders: Sequence[Path]) -> tuple[CaptionedImage, ...]:
    """Read a COCO captions file.

    Pictures without captions are left out; so are captions without a word (with a warning).

    Args:
        annotations: the JSON file.
        folders: where its pictures may lie; the first that exists is used.

    Raises:
        DataError: the file is not such a file, a caption belongs to no picture, two pictures share
            an id, or there is no picture folder.
    """
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        looked = ", ".join(str(folder) for folder in folders)
        raise DataError(f"{annotations}: its pictures were found in none of: {looked}")
    content = _read_json(annotations)
    _check_structure(annotations, content)
    coco = COCO()
    # Only what was checked: pycocotools stumbles over `categories` that captions do not name.
    coco.dataset = {section: content[section] for section in ("images", "annotations")}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        coco.createIndex()
    references: dict[int, list[str]] = defaultdict(list)
    empty = 0
    for annotation in coco.dataset["annotations"]:
        if annotation["image_id"] not in coco.imgs:
            raise DataError(
                f"{annotations}: annotation {annotation.get('id')} is about image "
                f"{annotation['image_id']}, which `images` does not list"
            )
        text = " ".join(annotation["caption"].split())
        if has_word(text):
            references[annotation["image_id"]].append(text)
        else:
            empty += 1
    if empty:
        logger.warning("%s: left out %d captions without a word", annotations.name, empty)
    return _images(
        annotations,
        (
            CaptionedImage(image_id, folder / coco.imgs[image_id]["file_name"], tuple(texts))
            for image_id, texts in references.items()
        ),
    )


def read_karpathy(path: Path, split: str) -> tuple[CaptionedImage, ...]:
    """Read one of Karpathy's `dataset_*.json` files; `train` includes COCO's `restval`.

    Raises:
        DataError: the file is not such a file or has no picture of this split.
    """
    content = _read_json(path)
    entries = content.get("images") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise DataError(f"{path}: not a Karpathy data set: `images` must be a list")
    wanted = _KARPATHY_TRAIN.get(split, (split,))
    images = []
    for index, entry in enumerate(entries):
        where = f"{path}: images[{index}]"
        if _field(where, entry, "split", str) not in wanted:
            continue
        sentences = entry.get("sentences")
        if not isinstance(sentences, list):
            raise DataError(f"{where}: `sentences` must be a list, got {sentences!r:.80}")
        texts = [_field(where, sentence, "raw", str) for sentence in sentences]
        references = tuple(filter(has_word, (" ".join(raw.split()) for raw in texts)))
        name = _field(where, entry, "filename", str)
        below = _field(where, {"filepath": "", **entry}, "filepath", str)
        places = (path.parent / "images" / below, path.parent / "images", path.parent / below)
        picture = next(
            (folder / name for folder in reversed(places) if _is_file(folder / name)),
            places[0] / name,
        )
        if references:
            images.append(CaptionedImage(_field(where, entry, "imgid", int), picture, references))
    return _images(path, images)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file
        return False


def _images(source: Path, images: Iterable[CaptionedImage]) -> tuple[CaptionedImage, ...]:
    found = tuple(sorted(images, key=lambda image: image.image_id))
    if not found:
        raise DataError(f"{source}: no captioned picture in it")
    for one, two in itertools.pairwise(found):
        if one.image_id == two.image_id:
            raise DataError(f"{source}: two pictures have the id {one.image_id}")
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
        raise DataError(f"{path}: not JSON: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _check_structure(path: Path, content: Any) -> None:
    """Raise `DataError` at the first entry that pycocotools would stumble over."""
    if not isinstance(content, dict):
        raise DataError(f"{path}: the top level must be an object, got {type(content).__name__}")
    wanted: dict[str, dict[str, type]] = {
        "images": {"id": int, "file_name": str},
        "annotations": {"id": int, "image_id": int, "caption": str},
    }
    for section, fields in wanted.items():
        entries = content.get(section)
        if not isinstance(entries, list):
            raise DataError(f"{path}: `{section}` must be a list")
        for index, entry in enumerate(entries):
            for field, kind in fields.items():
                _field(f"{path}: {section}[{index}]", entry, field, kind)
    names: dict[int, str] = {}
    for index, entry in enumerate(content["images"]):
        # pycocotools would take the last one for all captions.
        if names.setdefault(entry["id"], entry["file_name"]) != entry["file_name"]:
            raise DataError(f"{path}: images[{index}]: a second picture with id {entry['id']}")


def _field(where: str, entry: Any, field: str, kind: type[Kind]) -> Kind:
    """Return `entry[field]`, or raise `DataError` if it is missing or of another kind."""
    value = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = "a number" if kind is int else "text"
        raise DataError(f"{where}: `{field}` must be {expected}, got {value!r:.80}")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # JSON can say what UTF-8 cannot
            raise DataError(f"{where}: `{field}` holds half a character: {value!r:.80}") from error
    return value
