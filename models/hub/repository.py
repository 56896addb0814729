"""A model repository on the hub, or on a mirror of it (`HF_ENDPOINT`): what it holds, fetching it.

huggingface_hub knows the hub's addresses, tokens and errors, and `snapshot_download` fetches
everything but the weights, which `models.hub.download` does.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NoReturn

from huggingface_hub import (
    HfApi,
    constants,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from models import store
from models.checkpoints.pretrained import HubUnreachableError, ModelImportError
from models.hub.download import fetch_large, insist

_SIDE_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "README.md", "LICENSE*")
"""Everything but weights: configuration, tokenizer, card."""

_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
)
"""Weights for torch, the best first; each is a file, or an index and its parts."""

_WEIGHT_SUFFIXES = (".safetensors", ".bin")

_TIMEOUT = 30.0
"""Seconds that the hub may take to say what it has."""

_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubModel:
    """One commit of a model repository.

    Attributes:
        name: `owner/model`.
        sha: the commit.
        files: paths in the repository.
    """

    name: str
    sha: str
    files: tuple[str, ...]

    @classmethod
    def find(cls, name: str, revision: str | None = None) -> HubModel:
        """Look a model up and pin its revision to a commit.

        Raises:
            ModelImportError: there is no such model or revision, access is refused, or the hub
                cannot be reached.
        """
        if not _ID.fullmatch(name):
            raise ModelImportError(f"{name!r} is neither a directory nor a hub id (owner/model)")
        try:
            info = HfApi(endpoint=endpoint()).model_info(name, revision=revision, timeout=_TIMEOUT)
        except Exception as error:
            _explain(error, name, revision)
        # Both become names of folders here.
        if not (_ID.fullmatch(info.id) and _COMMIT.fullmatch(info.sha or "")):
            raise ModelImportError(f"{endpoint()} names no commit of {name}")
        return cls(info.id, str(info.sha), tuple(file.rfilename for file in info.siblings or []))

    @property
    def folder(self) -> Path:
        """Where this commit's files go until they are converted; what breaks off stays there."""
        return store.imports_folder() / f"models--{self.name.replace('/', '--')}" / self.sha

    def needed(self) -> list[str]:
        """Return the files that an import needs: no folders, no other framework's weights.

        Raises:
            ModelImportError: there are no weights for torch.
        """
        top = [file for file in self.files if "/" not in file]
        side = [
            file
            for file in top
            if any(fnmatch(file, pattern) for pattern in _SIDE_FILES)
            and not file.endswith(".index.json")
        ]
        for first, *parts in _WEIGHTS:
            if first in top:
                weights = [file for file in top if any(fnmatch(file, part) for part in parts)]
                return [*side, first, *weights]
        raise ModelImportError(
            f"{self.name} has no weights for PyTorch (model.safetensors or pytorch_model.bin)"
        )

    def fetch(self, files: Sequence[str]) -> Path:
        """Fetch files into `folder`, going on where an earlier call stopped; return `folder`.

        What huggingface_hub's own cache has is not fetched again.

        Args:
            files: some of `files`.

        Raises:
            ModelImportError: one cannot be fetched, or is damaged.
        """
        large = [file for file in files if file.endswith(_WEIGHT_SUFFIXES)]
        self._fetch_small([file for file in files if file not in large])
        for file in large:
            self._fetch_large(file)
        return self.folder

    def discard(self) -> None:
        """Delete what was fetched of this model, of whichever commit."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def _fetch_small(self, files: Sequence[str]) -> None:
        """Fetch files that need not be resumed in their middle."""
        missing = self._missing(files)
        if not missing:
            return
        one = missing[0] if len(missing) == 1 else ""
        try:
            insist(
                lambda: snapshot_download(
                    self.name,
                    revision=self.sha,
                    local_dir=self.folder,
                    allow_patterns=[glob.escape(file) for file in missing],
                    endpoint=endpoint(),
                ),
                lambda: -len(self._missing(missing)),
            )
            # Where the hub does not answer, it returns what there is, if there is anything.
            if absent := self._missing(missing):
                raise LocalEntryNotFoundError(f"{', '.join(absent)} did not come")
        except Exception as error:
            _explain(error, self.name, self.sha, one)

    def _fetch_large(self, file: str) -> None:
        """Fetch one file of weights."""
        if not self._missing([file]):
            return
        url = hf_hub_url(self.name, file, revision=self.sha, endpoint=endpoint())
        try:
            fetch_large(url, self.folder / file, endpoint())
        except Exception as error:
            _explain(error, self.name, self.sha, file)

    def _missing(self, files: Sequence[str]) -> list[str]:
        """Return which files have yet to come, after linking what huggingface_hub's cache has."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = []
        for file in files:
            target = self.folder / file
            if target.exists():
                continue
            cached = try_to_load_from_cache(self.name, file, revision=self.sha)
            if isinstance(cached, str):
                target.unlink(missing_ok=True)
                target.symlink_to(cached)
            else:
                missing.append(file)
        return missing


def endpoint() -> str:
    """Return the hub's address, without a slash at its end."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def _explain(error: Exception, name: str, revision: str | None, file: str = "") -> NoReturn:
    """Raise what went wrong with the hub as a sentence."""
    where = endpoint()
    if isinstance(error, GatedRepoError):
        text = f"{name} is gated: accept its terms on {where} and give a token in HF_TOKEN"
    elif isinstance(error, RepositoryNotFoundError):
        text = (
            f"there is no model {name} on {where}, or it is private or gated: give a token in "
            "HF_TOKEN"
        )
    elif isinstance(error, RevisionNotFoundError):
        text = f"{name} has no revision {revision!r}"
    elif isinstance(error, HFValidationError):
        text = f"{name!r} is neither a directory nor a hub id (owner/model)"
    elif isinstance(error, HfHubHTTPError) and error.response.status_code == 404 and file:
        text = f"{name} has no file {file!r} at revision {revision}"
    else:
        what = f"{name}'s file {file}" if file else name
        if isinstance(error, OSError) and error.strerror:
            text = f"{what} cannot be written: {error.strerror}"
        else:
            # The library's own sentence about its cache does not say what is wrong.
            cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else None
            text = f"{what} cannot be fetched from {where}: {cause or error}"
            if isinstance(error, HubUnreachableError) or not isinstance(error, ModelImportError):
                raise HubUnreachableError(text) from error
    raise ModelImportError(text) from error
