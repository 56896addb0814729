"""What PhotoPrism asks: which model, which picture, and what of it.

Whatever else it sends is for language models, and is taken without effect.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from models.store import StoredModel
from serving.api.talking import picture_url
from serving.base.problems import Problem, fault
from serving.contract.served_models import ServedModels

_LATEST = "latest"


class VisionRequest(BaseModel):
    """What the operations take."""

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str | None = None
    model: str | None = None
    version: str | None = None
    prompt: str | None = None
    images: list[str] | None = None
    url: str | None = None


def asked_model(models: ServedModels, name: str | None, version: str | None) -> StoredModel:
    """Return the captioner of a name and version.

    Args:
        models: what is served.
        name: the default model's where it is empty or none.
        version: the served one's where it is empty, none or `latest`.

    Raises:
        Problem: 404, no such captioner is served.
    """
    model = models.get(name or None)
    if version not in (None, "", _LATEST, model.version):
        raise Problem("unknown-model", f"{model.name} is served in version {model.version} only.")
    return model


def asked_picture(asked: VisionRequest) -> str:
    """Return the URL of the picture; of several the first, for all are of one photograph.

    Raises:
        Problem: there is none.
    """
    if asked.images:
        return picture_url(asked.images[0])
    if asked.url:
        return asked.url
    raise fault("images", "no picture: send one as a `data:` URL in `images`, or its `url`")
