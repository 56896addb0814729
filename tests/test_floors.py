"""The floors of pyproject.toml hold for what is imported by name too.

import-linter reads import statements. A module that is named by a string, `"package.module:name"`
or what `import_module` is given, is an import as well: here each must be there, and every contract
is kept with these arrows added.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grimp
import pytest
from importlinter import configuration
from importlinter.api import read_configuration
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = read_configuration(str(ROOT / "pyproject.toml"))
PACKAGES: list[str] = SETTINGS["session_options"]["root_packages"]
OURS = [name for name in PACKAGES if (ROOT / name).is_dir()]
"""All but the client, which names nothing by strings."""
KINDS = {
    "acyclic_siblings": AcyclicSiblingsContract,
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "layers": LayersContract,
}

TABLES = {"models.registry", "models.captioners.vlm.families"}
"""The modules of `models` that may name others by strings."""

_NAMED = re.compile(rf"((?:{'|'.join(OURS)})(?:\.\w+)+)(?::(\w+))?")


class Name(NamedTuple):
    """A string that stands for a module, or for something in one."""

    importer: str
    line: int
    module: str
    attribute: str | None


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def module_path(name: str) -> Path | None:
    """Return the file of a module of ours, or None."""
    base = ROOT / name.replace(".", "/")
    found = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in found if path.is_file()), None)


def trees() -> Iterator[tuple[str, ast.Module]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield module_name(path), ast.parse(path.read_text(encoding="utf-8"))


def names() -> list[Name]:
    found = []
    for importer, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                match = _NAMED.fullmatch(node.value)
                if match:
                    found.append(Name(importer, node.lineno, match[1], match[2]))
    return found


NAMES = names()


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """The imports of statements and of strings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "client/src")
        built = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)
    for name in NAMES:
        built.add_import(
            importer=name.importer,
            imported=name.module,
            line_number=name.line,
            line_contents="a string",
        )
    configuration.configure()
    return built


def test_strings_name_what_is_there() -> None:
    for name in NAMES:
        path = module_path(name.module)
        assert path is not None, name
        if name.attribute:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert name.attribute in {
                node.name
                for node in body
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            }, name


def test_only_tables_name_modules_of_models_by_strings() -> None:
    importers = {name.importer for name in NAMES if name.importer.startswith("models.")}
    assert importers == TABLES


def test_no_name_is_put_together() -> None:
    """What is not written out can be neither searched for nor checked."""
    for importer, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
                assert not isinstance(node.args[0], ast.JoinedStr | ast.BinOp), importer


@pytest.mark.parametrize(
    "contract", SETTINGS["contracts_options"], ids=lambda contract: contract["name"]
)
def test_contracts_are_kept(contract: dict[str, Any], graph: grimp.ImportGraph) -> None:
    options = {key: value for key, value in contract.items() if key not in ("name", "type")}
    check = KINDS[contract["type"]](contract["name"], SETTINGS["session_options"], options).check(
        copy.deepcopy(graph), verbose=False
    )
    assert check.kept, check.metadata
