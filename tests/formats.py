"""Number formats that the processor under the tests may lack."""

from __future__ import annotations

import pytest

from models.api.backend import Backend
from models.api.precision import Precision
from models.runtimes.processor import PrecisionError, require


def needs(precision: Precision, backend: Backend = "torch") -> None:
    """Skip the running test, saying why, where the processor does not compute in a format."""
    try:
        require(precision, backend)
    except PrecisionError as error:
        pytest.skip(str(error))
