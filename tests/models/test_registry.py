"""The registry says of every method, without its code, what its code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.api.captioner import Captioner
from models.api.matcher import Matcher
from models.registry import METHODS, captioner_class, load_object

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", METHODS)
def test_a_class_says_what_its_entry_says(name: str) -> None:
    method = METHODS[name]
    found = load_object(method.implementation)
    assert found.method == name
    if method.kind == "matcher":
        assert issubclass(found, Matcher)
        assert not method.honours
    else:
        assert issubclass(found, Captioner)
        assert found.honours == method.honours
    if method.openvino:
        other = captioner_class(name, "openvino")
        assert (other.method, other.honours) == (name, method.honours)
    assert bool(method.converter) == bool(method.architectures)
    if method.converter:
        assert callable(load_object(method.converter))


def test_an_architecture_has_one_method() -> None:
    named = [name for method in METHODS.values() for name in method.architectures]
    assert len(named) == len(set(named))


def test_what_is_known_without_code_needs_no_torch() -> None:
    """The gateway reads it, and starts without an engine's libraries."""
    program = (
        "import sys, models.registry, models.store, models.choose; "
        "found = {'torch', 'transformers', 'openvino'} & set(sys.modules); "
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # names what is
