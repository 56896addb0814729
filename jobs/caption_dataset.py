"""Caption a data set of any size, on this machine or on a Ray cluster.

    python jobs/caption_dataset.py --input photos/ --output captions.parquet
    python jobs/caption_dataset.py --input urls.txt --output captions.jsonl --num-beams 5
    python jobs/caption_dataset.py --input shards/*.tar --output s3://bucket/captions.parquet \\
        --address auto

The same command run again goes on where the last one ended, however it ended.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import typing
from pathlib import Path
from types import FrameType

if __name__ == "__main__":  # run as a file: the packages lie beside its folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pydantic import ValidationError

from models import store
from models.api.device import PrecisionSetting
from models.api.metadata import BrokenModelError, read
from models.api.options import CaptionOptions, UnsupportedOptionError, check_honoured
from models.registry import honoured_options
from models.runtimes.formats import require
from serving.base.environment import SettingsError, load_settings

logger = logging.getLogger("caption_dataset")

_NOT_WRITTEN = ("attention", "rerank")
"""Options whose outcome the output has no column for."""


class _Terminated(BaseException):
    """SIGTERM came."""


_STOPS: dict[int, type[BaseException]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: _Terminated,
}
_asked: list[type[BaseException]] = []
"""What signals have asked for. An exception that a finaliser meets is printed and forgotten."""


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments; the captioning options are those of `CaptionOptions`."""
    found = argparse.ArgumentParser(
        prog="python jobs/caption_dataset.py",
        description="Caption a data set: every picture once, whatever happens on the way.",
    )
    found.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="folders of pictures, lists of addresses (.txt), Parquet files or WebDataset tars; "
        "local or any path that fsspec knows",
    )
    found.add_argument("--output", required=True, help="….parquet (a folder of parts) or ….jsonl")
    found.add_argument(
        "--model", default="compact", help="name[:version] in the model store, or a directory"
    )
    found.add_argument(
        "--precision",
        choices=typing.get_args(PrecisionSetting),
        help="what the model computes in; by default as the server chooses (CAPTIONBOX_PRECISION)",
    )
    found.add_argument("--address", help="a Ray cluster's, or auto; without, this machine alone")
    found.add_argument("--workers", type=int, default=0, help="captioners; default: one a core")
    found.add_argument("--threads", type=int, default=1, help="cores of a captioner; default 1")
    found.add_argument(
        "--batch-size", type=int, default=16, help="pictures captioned at once; default 16"
    )
    found.add_argument(
        "--image-column", default="image", help="of Parquet: bytes or addresses; default image"
    )
    found.add_argument(
        "--key-column", default="", help="of Parquet; by default file name and row number"
    )
    found.add_argument(
        "--part-seconds",
        type=float,
        default=10.0,
        help="rows are written at least this often: what a kill can cost; default 10",
    )
    options = found.add_argument_group("options of the model, by default its own")
    for name, field in CaptionOptions.model_fields.items():
        if name not in _NOT_WRITTEN:
            # argparse takes % for a placeholder.
            text = (field.description or "").replace("%", "%%")
            options.add_argument("--" + name.replace("_", "-"), metavar="VALUE", help=text)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    given = parser().parse_args(arguments)
    _asked.clear()
    for number in _STOPS:
        signal.signal(number, _stop)
    try:
        return _run(given)
    except (SettingsError, BrokenModelError, store.ModelNotFoundError) as error:
        logger.error("error: %s", error)
    except ConnectionError as error:
        logger.error("error: no Ray cluster at %s: %s", given.address, error)
    except (UnsupportedOptionError, ValueError) as error:
        logger.error("error: %s", _words(error))
    except KeyboardInterrupt:
        return 130
    except _Terminated:
        return 143
    return 2


def _run(given: argparse.Namespace) -> int:
    for name in ("workers", "threads", "batch_size"):
        least = 0 if name == "workers" else 1
        if getattr(given, name) < least:
            raise ValueError(f"--{name.replace('_', '-')} is at least {least}")
    try:
        from jobs import pipeline
    except ImportError as error:
        raise ValueError(f"{error}: this needs `pip install -r requirements-ray.lock`") from None
    from jobs.model_files import ModelFiles
    from jobs.progress import Progress
    from jobs.results import Job
    from jobs.sink import open_sink
    from jobs.sources import Columns, list_inputs

    settings = load_settings()
    directory, name, version = _model(given.model)
    options = _options(given)
    metadata = read(directory)
    check_honoured(options, metadata.method, honoured_options(metadata))
    columns = Columns(given.image_column, given.key_column)
    listing = list_inputs(given.input, columns)
    with open_sink(given.output, given.part_seconds) as sink:
        asked: PrecisionSetting = given.precision or settings.precision
        if sink.job is not None and asked == "auto":
            asked = sink.job.precision
        if asked != "auto" and given.address is None:
            require(asked)  # a cluster's processors are not known here
        job = Job(model=name, version=version, precision=asked, options=options)
        if sink.job is not None and sink.job != job:
            raise ValueError(
                f"{given.output} holds captions of {sink.job}, and {job} was asked for: "
                "name another output"
            )
        total = "" if listing.pictures is None else f"{listing.pictures:,} pictures, "
        logger.info("%s%d done before; starting the workers", total, len(sink.done))
        plan = pipeline.Plan(given.workers, given.threads, given.batch_size)
        pipeline.connect(given.address, plan)
        files = ModelFiles.of(directory, version, pack=given.address is not None)
        if asked == "auto":
            job = job.computing_in(pipeline.choose_precision(files))
        sink.start(job)
        logger.info("captioning with %s", job)
        progress = Progress(listing.pictures, len(sink.done))
        try:
            for rows in pipeline.caption(listing, sink.done, job, files, plan, settings, columns):
                sink.add(rows)
                if _asked:
                    raise _asked[0]
                progress.update(sink.written, sink.bad)
        except (KeyboardInterrupt, _Terminated):
            sink.flush()
            logger.warning("stopped: %s; the same command goes on", progress.summary())
            raise
        sink.flush()
        logger.info("done: %s", progress.summary())
    return 0


def _model(text: str) -> tuple[Path, str, str]:
    """Return a model's directory, name and version."""
    if "/" in text or Path(text).is_dir():
        directory = Path(text).resolve()
        read(directory)
        return directory, directory.name, store.content_version(directory)
    found = store.find(text)
    return found.path, found.name, found.version


def _options(given: argparse.Namespace) -> CaptionOptions:
    fields = {name: getattr(given, name, None) for name in CaptionOptions.model_fields}
    return CaptionOptions.model_validate({k: v for k, v in fields.items() if v is not None})


def _words(error: ValueError) -> str:
    """Return an error in one line; pydantic's by option."""
    if not isinstance(error, ValidationError):
        return str(error)
    parts = []
    for item in error.errors(include_url=False):
        option = "--" + str(item["loc"][0]).replace("_", "-") + ": " if item["loc"] else ""
        got = f", got {item['input']!r}" if item["loc"] else ""
        parts.append(option + item["msg"].removeprefix("Value error, ") + got)
    return "; ".join(parts)


def _stop(number: int, _frame: FrameType | None) -> typing.Never:
    """End the job where it stands; should that be lost in somebody's callback, at the next rows."""
    _asked.append(_STOPS[number])
    raise _STOPS[number]


if __name__ == "__main__":
    sys.exit(main())
