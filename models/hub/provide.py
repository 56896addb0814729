"""Have the models that are to be served in the store: what is not there yet comes from the hub."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from models import store
from models.checkpoints.pretrained import HubUnreachableError
from models.hub.known_models import KNOWN_MODELS, KnownModel, find_known
from models.store import ModelNotFoundError, StoredModel

logger = logging.getLogger(__name__)

EMBEDDED = "compact"
"""The model that needs no hub."""

_TERMS = {
    "open": "",
    "gated": "; gated: accept its terms on the hub first, and give a token in HF_TOKEN",
    "non-commercial": "; not for commercial use",
}


def provide(
    names: Sequence[str], fetch: Callable[[KnownModel, str], StoredModel]
) -> list[StoredModel]:
    """Return the models of `names`, after fetching the known ones that are not in the store.

    Args:
        names: names or `name:version`; a name may be one of `models.hub.known_models`.
        fetch: imports a known model under a name.

    Returns:
        The models in the order of `names`. Where the hub cannot be reached and `compact` is among
        them, those that are there.

    Raises:
        ModelNotFoundError: a model is neither in the store nor known.
        ModelImportError: a known one cannot be had; as `HubUnreachableError`, the hub does not
            answer, and nobody has asked for `compact`.
        models.api.metadata.BrokenModelError: one that is there is damaged.
    """
    found = []
    for name in names:
        try:
            found.append(_provide(name, fetch))
        except HubUnreachableError as error:
            if EMBEDDED not in names:
                raise HubUnreachableError(
                    f"{name}: {error}; `make serve` without MODEL serves the embedded {EMBEDDED!r}"
                ) from error
            logger.warning("%s is left out: %s", name, error)
    return found


def _provide(name: str, fetch: Callable[[KnownModel, str], StoredModel]) -> StoredModel:
    """Return one model, fetched if need be."""
    try:
        return store.find(name)
    except ModelNotFoundError as error:
        known = find_known(name)
        if known is None:
            names = ", ".join(model.name for model in KNOWN_MODELS)
            raise ModelNotFoundError(f"{error}; known by name are {names}") from None
    announce(known)
    return fetch(known, name)


def announce(model: KnownModel) -> None:
    """Say what is about to be fetched, and under which licence."""
    size = f", {model.download_mb} MB" if model.download_mb else ""
    commit = model.revision if model.pinned else f"the newest commit of {model.revision}"
    logger.info(
        "%s: %s at %s, %d million weights%s; licence %s%s",
        model.name,
        model.hub_id,
        commit,
        model.parameters,
        size,
        model.licence,
        _TERMS[model.terms],
    )
