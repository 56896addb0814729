"""The Ray side: read units in tasks, caption in a pool of actors, hand back rows as they come."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import captionbox
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

import jobs
import models
import serving
from jobs.captioning import DatasetCaptioner
from jobs.model_files import ModelFiles
from jobs.reading import Encoded, Reader
from jobs.results import SCHEMA, Job, KeySet
from jobs.sources import Columns, Listing, Unit
from models.api.device import Precision
from models.choose import load_fastest
from serving.base.machine import available_cores
from serving.base.settings import Settings
from serving.engine.loading import use_threads

_BLOCK_BYTES = 1024 * 1024
"""Pictures travel in blocks of about this size: small enough that no worker is left with many when
the others are through."""

_MOST_UNITS_A_TASK = 512
_UNITS_AT_ONCE = 64

_ENCODED = pa.schema(
    [
        ("key", pa.string()),
        ("data", pa.binary()),
        ("error", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Plan:
    """How a job is spread out.

    Attributes:
        workers: captioners; 0 for as many as fit the cores.
        threads: cores of each.
        batch_size: pictures captioned at once.
    """

    workers: int = 0
    threads: int = 1
    batch_size: int = 16


def connect(address: str | None, plan: Plan) -> None:
    """Join the cluster at an address, or start one on this machine that ends with this process."""
    cores = plan.workers * plan.threads or available_cores()
    code = [str(Path(module.__path__[0])) for module in (captionbox, jobs, models, serving)]
    environment = {"py_modules": code, "excludes": ["**/weights/**", "**/__pycache__/**"]}
    ray.init(
        address=address or "local",
        num_cpus=None if address else cores,
        include_dashboard=None if address else False,
        runtime_env=environment,
        log_to_driver=False,
        logging_level=logging.WARNING,
        configure_logging=False,
    )
    # It tells at length of what the user did not choose; the job reports progress itself.
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES


def choose_precision(files: ModelFiles) -> Precision:
    """Return the precision that is fastest of those allowed, measured by a worker."""

    def choose() -> Precision:
        return load_fastest(files.path(), "auto")[1].precision

    return ray.get(ray.remote(num_cpus=1)(choose).remote())


def captioners(units: Sequence[Unit], workers: int) -> int:
    """Return how many captioners units keep busy: no more than there may be pictures.

    An archive or a row group is one unit of any number of pictures.
    """
    return min(workers, len(units)) if all(unit.kind == "file" for unit in units) else workers


def caption(
    listing: Listing,
    done: KeySet,
    job: Job,
    files: ModelFiles,
    plan: Plan,
    settings: Settings,
    columns: Columns,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of all pictures that are not done, in any order, as they become ready."""
    known = ray.put(done)

    def read(batch: pa.Table) -> Iterator[pa.Table]:
        reader = Reader(settings, columns, ray.get(known))
        for found in reader.read([Unit(**row) for row in batch.to_pylist()]):
            if found:
                yield pa.Table.from_pylist([vars(it) for it in found], _ENCODED)

    units = [unit for unit in listing.units if unit.kind != "file" or unit.key not in done]
    if not units:
        return
    workers = plan.workers or max(1, int(ray.cluster_resources()["CPU"]) // plan.threads)
    size = min(_MOST_UNITS_A_TASK, -(-len(units) // (4 * workers)))
    tables = [
        pa.Table.from_pylist([vars(unit) for unit in units[start : start + size]])
        for start in range(0, len(units), size)
    ]

    class Worker:
        """An actor: one captioner."""

        def __init__(self) -> None:
            use_threads(plan.threads)
            self._captioner = DatasetCaptioner(files.path(), job, settings.max_pixels)

        def __call__(self, batch: pa.Table) -> pa.Table:
            found = self._captioner.caption([Encoded(**row) for row in batch.to_pylist()])
            return pa.Table.from_pylist(found, SCHEMA)

    rows = (
        ray.data.from_arrow(tables)
        # Reading waits far more than it computes: it takes no core from the captioners, and few
        # processes do it.
        .map_batches(
            read,
            batch_size=_UNITS_AT_ONCE,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=-(-workers // 4)),
            num_cpus=0,
        )
        .map_batches(
            Worker,
            batch_size=plan.batch_size,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=captioners(units, workers)),
            num_cpus=plan.threads,
        )
    )
    for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
        yield cast(pa.Table, table).to_pylist()
