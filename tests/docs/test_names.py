"""What the pages name is there: links, commands, files, routes, settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from serving.app import FACES
from serving.base.settings import PREFIX, Settings
from tests.docs.pages import PAGES, ROOT, anchors, code, links, name, read
from tests.docs.tables import DOCUMENT

OF_THE_CLIENT = {"BASE_URL", "API_KEY", "STATE_DIR", "TIMEOUT", "MAX_RETRIES"}
"""Variables that the SDK reads."""

YOURS = {"deploy/captionbox.env", "deploy/secrets/api_keys"}
"""Files that are named, and that whoever deploys writes."""

PAGE_ROUTES = {"/", "/docs", "/docs.json", "/schema.json", "/problems/…"}
"""Addresses that are not in the OpenAPI document; `/schema.json` is BentoML's."""

FOLDERS = "benchmarks|client|deploy|docs|jobs|models|serving|tests|training|web"

every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def found(pattern: str, page: Path) -> Iterator[str]:
    """Yield what a pattern's group matches in a page's code."""
    for text in code(page):
        yield from re.findall(pattern, text)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = re.findall(
        r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(found(r"\bmake ([a-z][a-z-]*)", page)) <= set(targets)


def test_make_targets_are_looked_for() -> None:
    named = {target for page in PAGES for target in found(r"\bmake ([a-z][a-z-]*)", page)}
    assert {"serve", "test", "image", "install", "bench-quick", "test-load"} <= named


@every_page
def test_modules_exist(page: Path) -> None:
    for module in found(r"\bpython -m ([a-z_.]+)", page):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


@every_page
def test_files_exist(page: Path) -> None:
    for path in found(rf"(?<![\w./-])((?:{FOLDERS})/[\w./-]*\w)", page):
        # NAME stands for what is to be added: where, must be there.
        there = ROOT / path.partition("NAME")[0]
        assert path in YOURS or there.exists(), path


@every_page
def test_settings_exist(page: Path) -> None:
    known = {field.upper() for field in Settings.model_fields} | OF_THE_CLIENT
    assert set(re.findall(rf"\b{PREFIX}([A-Z_]+)", read(page))) <= known


@every_page
def test_routes_exist(page: Path) -> None:
    known = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    } | {("GET", path) for path in PAGE_ROUTES}
    # What other software's clients have written in is not in the document.
    for face in FACES:
        known |= {(method, one.path) for one in face.routes(Settings()) for method in one.methods}
    for text in code(page):
        for method, path in re.findall(r"^(GET|POST|PUT|DELETE) (/\S*)$", text):
            assert (method, path) in known


def test_every_route_is_in_the_page_on_http() -> None:
    text = read(ROOT / "docs/http.md")
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            assert f"`{method.upper()} {path}`" in text


def commands(start: str) -> list[list[str]]:
    """Return the words that follow `start` in every command of every page."""
    pattern = rf"(?:^|[ \n]){re.escape(start)}((?: [^\n#&|]*)?)"
    return [words.split() for page in PAGES for words in found(pattern, page)]


def test_commands_of_the_model_store_exist(capsys: pytest.CaptureFixture[str]) -> None:
    run = import_module("models.__main__").main
    named = [words for words in commands("python -m models") if words]
    assert {words[0] for words in named} == {
        "install-default",
        "ensure",
        "known",
        "verify",
        "import",
        "export-openvino",
        "list",
        "show",
    }
    for command, *words in named:
        with pytest.raises(SystemExit) as ended:
            run([command, "--help"])
        assert ended.value.code == 0
        helped = capsys.readouterr().out
        assert all(word in helped for word in words if word.startswith("--")), words


def test_options_of_the_data_set_job_exist() -> None:
    known = import_module("jobs.caption_dataset").parser().format_help()
    page = ROOT / "docs/datasets.md"
    named = set(found(r"(?<!\S)(--[a-z][a-z-]+)", page)) - {"--help"}
    assert "--num-beams" in named
    assert all(re.search(rf"{option}\b", known) for option in named), named


def test_the_vps_commands_are_those_of_the_scripts() -> None:
    (readme,) = [text for text in code(ROOT / "README.md") if "certbot certonly" in text]
    page = ROOT / "docs/deploy.md"
    assert readme in code(page)
    ship, update = (
        (ROOT / "deploy" / file).read_text(encoding="utf-8") for file in ("ship.sh", "update.sh")
    )
    options = {word for words in commands("deploy/ship.sh") for word in words if word[:2] == "--"}
    assert {"--dry-run", "--status", "--rollback", "--models"} <= options
    assert all(re.search(rf"^ *(?:[-\w| ]* )?{one}\b.*\)", ship, re.MULTILINE) for one in options)
    assert "REMOTE=${REMOTE:-/opt/captionbox}" in ship and "/opt/captionbox/acme" in readme
    assert "--certificate)" in update and "mkdir -p acme" in update
    # What the server must have is what the first command installs.
    needed = re.findall(r"for tool in ([a-z ]+); do command -v \$tool", ship)
    for tool in needed[0].split():
        assert re.search(rf"apt-get install [^\n]*\b{tool}\b", readme), tool
    assert "docker-compose" in readme


def test_nginxs_limits_are_those_of_its_configuration() -> None:
    text = read(ROOT / "docs/deploy.md").replace("\n  ", " ")
    config = (ROOT / "deploy/nginx/captionbox.conf").read_text(encoding="utf-8")
    (rate,) = re.findall(r"zone=captions:\S+ rate=(\d+)r/s", config)
    (burst,) = re.findall(r"zone=captions burst=(\d+)", config)
    assert f"{rate} requests for captions a second and address, {burst} in a burst" in text
