"""The README against the code: settings, options, commands."""

import re
from pathlib import Path

import pytest

from models.api.options import CaptionOptions
from serving.base.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
COMPUTED = {"engine_workers", "threads"}
"""Settings whose default depends on the machine."""
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_listed_with_its_default_and_description() -> None:
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        shown = f"`{default}`" if default not in (None, "") else "none"
        if name in COMPUTED:
            shown = "automatic"
        assert f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |" in README


def test_no_setting_is_listed_that_is_not_there() -> None:
    listed = set(re.findall(rf"^\| `{PREFIX}(\w+)`", README, re.MULTILINE))
    assert listed == {name.upper() for name in Settings.model_fields}


def test_every_option_is_listed() -> None:
    section = README.partition("## Options")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE))
    assert listed == {*CaptionOptions.model_fields, "model", "id"}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)", README))))
def test_make_targets_exist(target: str) -> None:
    if target in {"and"}:  # "python3, make and a package index"
        return
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([a-z_.]+)", README))))
def test_modules_exist(module: str) -> None:
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_both_commands_come_first() -> None:
    assert README.index("make serve") < README.index("make test") < README.index("## Options")
