"""Fetch a file of gigabytes from the hub, going on where an earlier attempt stopped.

`huggingface_hub.snapshot_download` begins a file anew after a reset connection or a killed process,
and deletes what it had of it: on a bad line a checkpoint would never arrive. `http_get`, on which
it is built, can go on. So weights come through that, into `TARGET.part`, which stays until all of
it is there.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from huggingface_hub import get_hf_file_metadata, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from models.checkpoints.pretrained import HubUnreachableError, ModelImportError

logger = logging.getLogger(__name__)

ATTEMPTS = 8
"""Failures in a row, without a byte gained between them, that end the patience; each is one after
several tries of `http_get`'s own."""
_LONGEST_PAUSE = 60.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
"""ETag of a large file; a small one's is its git hash, which is of more than its bytes."""


def fetch_large(url: str, target: Path, endpoint: str) -> None:
    """Fetch `url` into `target`, resuming what an earlier call left, and check its SHA-256.

    Args:
        url: a file's at a commit of a repository: its bytes never change.
        target: appears when all of it is there; until then `TARGET.part` grows.
        endpoint: the hub's address; tokens are sent to no other.

    Raises:
        ModelImportError: the connection broke too often, or the file is damaged.
        Exception: huggingface_hub's or httpx2's, where the hub refuses; OSError of the disk.
    """
    about = get_hf_file_metadata(url, endpoint=endpoint, retry_on_errors=True)
    headers = {"User-Agent": "captionbox", "Accept-Encoding": "identity"}
    if token := get_token():
        headers["Authorization"] = f"Bearer {token}"
    part = target.with_name(target.name + ".part")
    with part.open("ab") as file:
        if about.size is None or file.tell() > about.size:
            file.seek(0)
            file.truncate()
        insist(
            lambda: http_get(
                url,
                file,
                resume_size=file.tell(),
                headers=headers,
                expected_size=about.size,
                displayed_filename=target.name,
            ),
            file.tell,
        )
    if about.etag and _SHA256.fullmatch(about.etag):
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != about.etag:
            part.unlink()
            raise ModelImportError(
                f"SHA-256 {found}, expected {about.etag}: damaged; the same command fetches it anew"
            )
    part.replace(target)


def insist(attempt: Callable[[], object], reached: Callable[[], int]) -> None:
    """Repeat an attempt as long as what ends it is the connection.

    Args:
        attempt: goes on where the last one stopped.
        reached: how far it has got. Where that grows, patience begins anew.

    Raises:
        HubUnreachableError: `ATTEMPTS` failures without progress.
        Exception: what else `attempt` raises.
    """
    failures = 0
    while True:
        before = reached()
        try:
            attempt()
            return
        except (httpx2.TransportError, HfHubHTTPError) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
                raise
            failures = 1 if reached() > before else failures + 1
            if failures >= ATTEMPTS:
                raise HubUnreachableError(
                    f"{error or error!r}; gave up after {failures} attempts without progress. "
                    "The same command goes on from here"
                ) from error
            # Spread, so that many clients of one server do not come back all at once.
            pause = min(2.0 ** (failures - 1), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
            logger.warning("%s; trying again in %.1f s", error or repr(error), pause)
            time.sleep(pause)
