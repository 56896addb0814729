"""Which models are served: names from the settings, versions from the store, fixed at start."""

from __future__ import annotations

from collections.abc import Iterable

from models.store import StoredModel, find
from serving.problems import Problem
from serving.schemas import InputSize, ModelsResponse, ServedModel


class ServedModels:
    """The served models, the default first.

    Args:
        tags: names or `name:version`, each name once, at least one.

    Raises:
        models.store.ModelNotFoundError: one of them is not in the store.
        models.metadata.BrokenModelError: one of them is damaged.
    """

    def __init__(self, tags: Iterable[str]) -> None:
        self._models = {model.name: model for model in map(find, tags)}

    def get(self, name: str | None) -> StoredModel:
        """Return the model of a name, or the default.

        Raises:
            Problem: 404, no such model is served; lists those that are.
        """
        if name is None:
            return next(iter(self._models.values()))
        try:
            return self._models[name]
        except KeyError:
            served = ", ".join(self._models)
            raise Problem(
                "unknown-model", f"No model {name[:100]!r} is served here; served: {served}."
            ) from None

    def all(self) -> list[StoredModel]:
        """Return every model, the default first."""
        return list(self._models.values())

    def tags(self) -> list[str]:
        """Return every model's `name:version`."""
        return [model.tag for model in self._models.values()]

    def describe(self, name: str) -> ServedModel:
        """Return the public account of a model.

        Raises:
            Problem: 404, no such model is served.
        """
        model = self.get(name)
        spec = model.metadata.preprocess
        return ServedModel(
            id=model.name,
            created=int((model.path / "captionbox.json").stat().st_mtime),
            version=model.version,
            method=model.metadata.method,
            default=model is self.get(None),
            parameters=model.metadata.parameters,
            input=InputSize(height=spec.height, width=spec.width),
        )

    def response(self) -> ModelsResponse:
        """Return the answer of `GET /v1/models`."""
        return ModelsResponse(data=[self.describe(name) for name in self._models])
