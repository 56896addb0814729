"""What a run was told: its command line, and the files from which `--resume` takes it up again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from training.data.dataset import TrainingVocabulary
from training.data.machine import process_count
from training.data.mixture import DataSource
from training.loop import run_directory
from training.loop.hardware import Hardware
from training.recipes.recipe import Recipe, load_recipe


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a run's data, folder, resuming, caches, length and overrides of its recipe."""
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="DIR[=WEIGHT]",
        help="data set folder; =0.5 takes half of its pictures an epoch, =2 takes them twice",
    )
    add_layout(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN")
    parser.add_argument("--max-steps", type=int, default=-1, help="stop after so many steps")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    add_image_cache(parser)
    parser.add_argument(
        "--feature-cache",
        type=Path,
        metavar="DIR",
        help="where trunk features are kept, for runs to share (default: RUN/features); --set "
        "feature_views=N keeps them",
    )
    add_device(parser)
    parser.add_argument(
        "--workers",
        type=_natural,
        metavar="N",
        help="processes that read pictures (default: on a GPU all cores but one, else 1)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the image trunk: a minute at the start, worth it on a GPU in long runs",
    )


def hardware_of(options: argparse.Namespace) -> Hardware:
    """Return what the options of `add_run_arguments` say.

    Raises:
        DeviceError: the device is not there.
    """
    return Hardware.find(options.device, options.workers, options.compile)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device to compute on."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="cpu or cuda; auto takes a GPU where there is one (default: auto)",
    )


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Add the layout of data that is taken of several."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="which captions to take where a data set folder holds several: 2017, 2014, plain or "
        "the name of a dataset_*.json",
    )


def add_image_cache(parser: argparse.ArgumentParser) -> None:
    """Add the folder of decoded pictures."""
    parser.add_argument("--image-cache", type=Path, metavar="DIR", help="keep decoded pictures")


def write_start(
    run: Path, recipe: Recipe, data: list[DataSource], tokenizer: TrainingVocabulary
) -> None:
    """Write what `--resume` needs: vocabulary, data folders, step and, last, the recipe."""
    tokenizer.save(run)
    sources = [
        {"folder": str(s.folder.resolve()), "weight": s.weight, "layout": s.layout} for s in data
    ]
    (run / run_directory.DATA_NAME).write_text(json.dumps(sources), encoding="utf-8")
    pictures = recipe.batch_images * recipe.accumulate * process_count()
    (run / run_directory.STEP_NAME).write_text(json.dumps(pictures), encoding="utf-8")
    text = recipe.model_dump_json(indent=2) + "\n"
    (run / run_directory.RECIPE_NAME).write_text(text, encoding="utf-8")


def read_start(run: Path) -> tuple[Recipe, list[DataSource]]:
    """Return the recipe, for as many processes as there are now, and the data of a run to resume.

    Raises:
        RunError: there is no run, what it says of its data is damaged, or its steps cannot be
            shared out evenly.
        RecipeError: its recipe is damaged.
    """
    run_directory.prepare(run, resume=True)
    recipe = load_recipe(str(run / run_directory.RECIPE_NAME))
    path = run / run_directory.STEP_NAME
    if path.is_file():  # runs that began before it existed have none
        recipe = share_out(recipe, int(path.read_text(encoding="utf-8")), process_count())
    return recipe, read_sources(run)


def share_out(recipe: Recipe, pictures: int, processes: int) -> Recipe:
    """Return a recipe whose optimiser steps see the same pictures with another number of processes.

    Steps, epochs and schedule then mean what they meant when the run began.

    Args:
        recipe: as the run began; no process is given more than its `batch_images` at once.
        pictures: of a step, of all processes together.
        processes: how many there are now.

    Raises:
        RunError: the pictures cannot be shared out evenly.
    """
    share, rest = divmod(pictures, processes)
    if rest or not share:
        raise run_directory.RunError(
            f"a step of this run sees {pictures} pictures, which {processes} processes cannot "
            "share evenly: resume with a number that divides them"
        )
    accumulate = next(
        parts
        for parts in range(1, share + 1)
        if share % parts == 0 and share // parts <= recipe.batch_images
    )
    return recipe.model_copy(update={"batch_images": share // accumulate, "accumulate": accumulate})


def read_sources(run: Path) -> list[DataSource]:
    """Return the data of a run.

    Raises:
        RunError: there is no run, or what it says of its data is damaged.
    """
    path = run / run_directory.DATA_NAME
    try:
        return [
            # Only the folder's name in runs that began before weights existed, no layout in those
            # that began before one could be named.
            DataSource(Path(entry))
            if isinstance(entry, str)
            else DataSource(Path(entry["folder"]), float(entry["weight"]), entry.get("layout"))
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise run_directory.RunError(f"{path}: damaged: {error!r}") from error
