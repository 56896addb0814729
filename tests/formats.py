"""Number formats that the processor under the tests may lack."""

from __future__ import annotations

import pytest

from models.api.device import Backend, Precision
from models.runtimes.formats import PrecisionError, require


def needs(precision: Precision, backend: Backend = "torch") -> None:
    """Skip the running test, saying why, where the processor does not compute in a format."""
    try:
        require(precision, backend)
    except PrecisionError as error:
        pytest.skip(str(error))
