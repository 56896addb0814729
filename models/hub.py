"""A model repository on the hub, or on a mirror of it (`HF_ENDPOINT`): what it holds, fetching it.

Downloads go through huggingface_hub: progress bars, its cache, resuming where a connection broke.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NoReturn

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from models.import_error import ModelImportError

logger = logging.getLogger(__name__)

_SIDE_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "README.md", "LICENSE*")
"""Everything but weights: configuration, tokenizer, card."""

_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
)
"""Weights for torch, the best first; each is a file, or an index and its parts."""

_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


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
            info = HfApi().model_info(name, revision=revision)
        except Exception as error:
            _explain(error, name, revision)
        if info.sha is None:
            raise ModelImportError(f"the hub names no commit of {name}")
        return cls(info.id, info.sha, tuple(file.rfilename for file in info.siblings or []))

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

    def fetch(self, file: str) -> Path:
        """Fetch one file unless it is in the cache; return its path.

        Raises:
            ModelImportError: it cannot be fetched.
        """
        try:
            return Path(hf_hub_download(self.name, file, revision=self.sha))
        except Exception as error:
            _explain(error, self.name, self.sha, file)

    def fetch_all(self) -> Path:
        """Fetch every needed file; return their folder.

        Raises:
            ModelImportError: one cannot be fetched, or there are no weights for torch.
        """
        paths = [self.fetch(file) for file in self.needed()]
        return paths[0].parent


def _explain(error: Exception, name: str, revision: str | None, file: str = "") -> NoReturn:
    """Raise what went wrong with the hub as a sentence."""
    where = constants.ENDPOINT
    if isinstance(error, GatedRepoError):
        text = f"{name} is gated: accept its terms on {where} and give a token in HF_TOKEN"
    elif isinstance(error, RepositoryNotFoundError):
        text = f"there is no model {name} on {where}, or it is private: give a token in HF_TOKEN"
    elif isinstance(error, RevisionNotFoundError):
        text = f"{name} has no revision {revision!r}"
    elif isinstance(error, HFValidationError):
        text = f"{name!r} is neither a directory nor a hub id (owner/model)"
    elif isinstance(error, HfHubHTTPError) and error.response.status_code == 404:
        text = f"{name} has no file {file or 'list'} at revision {revision}"
    else:
        text = f"{name}{' ' + file if file else ''} cannot be fetched from {where}: {error}"
    raise ModelImportError(text) from error
