"""Why a model cannot be imported."""


class ModelImportError(ValueError):
    """A model cannot be imported. The message is one sentence for people."""
