"""Command-line arguments that every training command has."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a run's data, folder, resuming, image cache, length and overrides of its recipe."""
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="DIR[=WEIGHT]",
        help="data set folder; =0.5 takes half of its pictures an epoch, =2 takes them twice",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN")
    parser.add_argument("--max-steps", type=int, default=-1, help="stop after so many steps")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    add_image_cache(parser)


def add_image_cache(parser: argparse.ArgumentParser) -> None:
    """Add the folder of decoded pictures."""
    parser.add_argument("--image-cache", type=Path, metavar="DIR", help="keep decoded pictures")
