"""The API keys of the tests' locked server."""

from __future__ import annotations

from serving.base.keys import make_entry

ANNA, BERT, CARL = "anna-key-anna-key-anna-key", "bert-key-bert-key-bert-key", "carl-" * 6
"""Anna's stands in the settings, Bert's in the file; Carl's is added to the file by one test."""

STRANGER = "stranger-key-stranger-key"
SECRETS = (ANNA, BERT, CARL, STRANGER)

SETTING = make_entry("anna", ANNA)
FILE = make_entry("bert", BERT)


def bearer(key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}
