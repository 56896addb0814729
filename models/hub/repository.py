"""A model repository on the hub, or on a mirror of it (`HF_ENDPOINT`): what it holds, fetching it.

huggingface_hub knows the hub's addresses, tokens and errors. The bytes come through
`models.hub.download`: the library's own download drops what it has of a file when it is killed or a
connection is reset.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NoReturn

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    get_token,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from models.checkpoints.pretrained import ModelImportError
from models.hub.download import DownloadError, Patience, fetch, verify

_SIDE_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "README.md", "LICENSE*")
"""Everything but weights: configuration, tokenizer, card."""

_WEIGHTS = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*-of-*.safetensors"),
    ("pytorch_model.bin",),
    ("pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin"),
)
"""Weights for torch, the best first; each is a file, or an index and its parts."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
"""ETag of a large file; a small one's is its git hash, which is of more than its bytes."""

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
            info = HfApi(endpoint=endpoint()).model_info(name, revision=revision)
        except Exception as error:
            _explain(error, name, revision)
        if info.sha is None:
            raise ModelImportError(f"{endpoint()} names no commit of {name}")
        return cls(info.id, info.sha, tuple(file.rfilename for file in info.siblings or []))

    @property
    def folder(self) -> Path:
        """Where this commit's files go until they are converted; under `HF_HOME`."""
        return Path(constants.HF_HOME) / "captionbox" / self.name.replace("/", "--") / self.sha

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

    def fetch(self, file: str, patience: Patience | None = None) -> Path:
        """Fetch one file into `folder`, going on where an earlier call stopped; return its path.

        A file in huggingface_hub's own cache is not fetched again.

        Args:
            file: one of `files`.
            patience: when to give up.

        Raises:
            ModelImportError: it cannot be fetched, or is damaged.
        """
        target = self.folder / file
        if target.exists():
            return target
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            cached = try_to_load_from_cache(self.name, file, revision=self.sha)
            if isinstance(cached, str):
                target.unlink(missing_ok=True)
                target.symlink_to(cached)
                return target
            url = hf_hub_url(self.name, file, revision=self.sha, endpoint=endpoint())
            about = get_hf_file_metadata(url, endpoint=endpoint())
            fetch(url, target, about.size, patience, _credentials())
            if about.etag and _SHA256.fullmatch(about.etag):
                _check(target, about.etag)
        except Exception as error:
            _explain(error, self.name, self.sha, file)
        return target

    def fetch_all(self, patience: Patience | None = None) -> Path:
        """Fetch every needed file, as `fetch` does; return `folder`.

        Raises:
            ModelImportError: one cannot be fetched, or there are no weights for torch.
        """
        for file in self.needed():
            self.fetch(file, patience)
        return self.folder


def endpoint() -> str:
    """Return the hub's address, without a slash at its end."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


def _credentials() -> dict[str, str]:
    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _check(path: Path, sha256: str) -> None:
    try:
        verify(path, sha256=sha256)
    except DownloadError:
        path.unlink()
        raise


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
    elif isinstance(error, HfHubHTTPError) and error.response.status_code == 404:
        text = f"{name} has no file {file!r} at revision {revision}"
    elif isinstance(error, DownloadError):
        text = str(error)
    else:
        what = f"{name}'s file {file}" if file else name
        text = f"{what} cannot be fetched from {where}: {error}"
    raise ModelImportError(text) from error
