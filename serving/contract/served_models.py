"""Which models are served: names from the settings, versions from the store, fixed at start."""

from __future__ import annotations

from collections.abc import Iterable

from models.api.options import CaptionOptions, OptionName, UnsupportedOptionError, check_honoured
from models.registry import Kind, find_method, honoured_options
from models.store import StoredModel, find
from serving.base.problems import Problem, invalid_field
from serving.base.settings import PREFIX


class WrongKindError(ValueError):
    """A setting names a model of another kind. The message is one sentence for people."""


class ServedModels:
    """The served models: captioners, the default first, and a matcher or none.

    Attributes:
        matcher: the matcher, or `None`.

    Args:
        tags: captioners, names or `name:version`, each name once, at least one.
        matcher: name or `name:version`; empty for none.

    Raises:
        models.store.ModelNotFoundError: one of them is not in the store.
        models.api.metadata.BrokenModelError: one of them is damaged.
        WrongKindError: one of them is no captioner, or the matcher is none.
    """

    def __init__(self, tags: Iterable[str], matcher: str = "") -> None:
        self._models = {model.name: model for model in map(find, tags)}
        for model in self._models.values():
            if _kind(model) != "captioner":
                raise WrongKindError(
                    f"{PREFIX}MODELS: {model.tag} is a {_kind(model)} (method "
                    f"{model.metadata.method}) and writes no captions; name it in {PREFIX}MATCHER"
                )
        self.matcher = find(matcher) if matcher else None
        if self.matcher is not None and _kind(self.matcher) != "matcher":
            raise WrongKindError(
                f"{PREFIX}MATCHER: {self.matcher.tag} is a {_kind(self.matcher)} (method "
                f"{self.matcher.metadata.method}) and ranks no texts; name it in {PREFIX}MODELS"
            )
        # What the gateway does with the captions of any of them.
        reranks: frozenset[OptionName] = frozenset({"rerank"} if self.matcher else ())
        self._honours = {
            name: honoured_options(model.metadata) | reranks for name, model in self._models.items()
        }

    def get(self, name: str | None) -> StoredModel:
        """Return the captioner of a name, or the default.

        Raises:
            Problem: 404, no such captioner is served; lists those that are.
        """
        if name is None:
            return next(iter(self._models.values()))
        try:
            return self._models[name]
        except KeyError:
            served = ", ".join(self._models)
            if self.matcher is not None and name == self.matcher.name:
                what = f"The model {name!r} is a matcher and writes no captions"
            else:
                what = f"No model {name[:100]!r} is served here"
            raise Problem("unknown-model", f"{what}; served: {served}.") from None

    def choose(self, name: str | None, options: CaptionOptions) -> StoredModel:
        """Return the model that is to caption with `options`.

        Raises:
            Problem: 404, no such model is served; 422, it cannot honour an option.
        """
        model = self.get(name)
        if options.rerank and self.matcher is None:
            raise Problem("unsupported-option", "rerank: this server has no matcher.")
        try:
            check_honoured(options, model.metadata.method, self._honours[model.name])
        except UnsupportedOptionError as error:
            faults = [invalid_field(error.option, "this model cannot honour it")]
            raise Problem("unsupported-option", str(error), errors=faults) from None
        return model

    def captioners(self) -> list[StoredModel]:
        """Return every captioner, the default first."""
        return list(self._models.values())

    def all(self) -> list[StoredModel]:
        """Return every model: the captioners, the default first, then the matcher."""
        return [*self.captioners(), *([self.matcher] if self.matcher is not None else [])]

    def tags(self) -> list[str]:
        """Return every captioner's `name:version`."""
        return [model.tag for model in self._models.values()]

    def require_matcher(self, name: str | None = None) -> StoredModel:
        """Return the matcher.

        Args:
            name: that it must have; any by default.

        Raises:
            Problem: 404, there is none, or none of that name.
        """
        if self.matcher is None:
            raise Problem("no-matcher")
        if name is not None and name != self.matcher.name:
            raise Problem(
                "unknown-model",
                f"No matcher {name[:100]!r} is served here; served: {self.matcher.name}.",
            )
        return self.matcher

    def named(self, name: str) -> StoredModel:
        """Return the captioner, or the matcher, of a name.

        Raises:
            Problem: 404, no such model is served.
        """
        if self.matcher is not None and name == self.matcher.name:
            return self.matcher
        return self.get(name)

    def honoured(self, model: StoredModel) -> frozenset[OptionName]:
        """Return the options that a served model can honour; of a matcher, none."""
        return self._honours.get(model.name, frozenset())


def _kind(model: StoredModel) -> Kind:
    return find_method(model.metadata.method).kind
