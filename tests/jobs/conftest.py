"""Without Ray, which also brings pyarrow, only `test_without_ray` runs."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("ray") else ["test_[!w]*.py"]
