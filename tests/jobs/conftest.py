"""Nothing here runs without Ray, which also brings pyarrow."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="ray is optional: pip install -r requirements-ray.lock")
