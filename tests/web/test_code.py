"""Use it from code: what the page shows is run, and asks for what the page asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server import ROOT
from tests.web.browsing import await_captions, captions, choose, expect, fields
from tests.web.conftest import Opener

Picture = Callable[..., Path]
NAME = "it's; a ring.png"


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run a command in a folder and return what it prints; fails if it does."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "client" / "src"), **variables}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(page: Any) -> dict[str, str]:
    """Open the dialog and return the texts in it by their titles."""
    page.get_by_role("button", name="Use it from code").click()
    dialog = page.get_by_role("dialog", name="Use it from code")
    expect(dialog).to_be_visible()
    texts = dialog.locator("pre").all_text_contents()
    return dict(zip(dialog.locator("h3").all_text_contents(), texts, strict=True))


def test_the_snippets_ask_for_what_the_page_asked_for(open_page: Opener, picture: Picture) -> None:
    page = open_page()
    path = picture("red ring", NAME)
    page.get_by_label("Captions per picture").select_option("2")
    page.get_by_role("button", name="More options").click()
    page.get_by_label("Longest caption").select_option("About 12 words")
    with page.expect_response("**/caption") as response:
        choose(page, path)
    await_captions(page, 1)
    said = [each["text"] for each in response.value.json()["captions"]]
    sent = {k: v for k, v in fields(response.value.request).items() if k != "image"}
    assert sent == {"model": "compact", "num_captions": "2", "max_length": "14"}
    assert captions(page) == {NAME: said[0]}
    text = shown(page)
    folder = path.parent

    answer = json.loads(run(["bash", "-c", text["curl"]], folder))
    assert [each["text"] for each in answer["captions"]] == said
    assert all(f"{name}={value}" in text["curl"] for name, value in sent.items())
    printed = run([sys.executable, "-c", text["Python"]], folder).splitlines()
    assert [line.split("  ")[1] for line in printed] == said
    shim = f'captionbox() {{ "{sys.executable}" -m captionbox "$@"; }}\n'
    record = json.loads(run(["bash", "-c", shim + text["Command line"]], folder))
    assert said[0] in json.dumps(record) and said[1] in json.dumps(record)


MAKE = """async ([picture, requests, keyed]) => {
  const { snippets } = await import("/js/options/snippets.js");
  return snippets(picture, requests, "https://host/a/", keyed).map(({ text }) => text);
}"""


@pytest.fixture
def make(open_page: Opener) -> Callable[..., list[str]]:
    """Return a function that makes the three texts."""
    page = open_page()
    return lambda *arguments: list(page.evaluate(MAKE, list(arguments)))


def test_addresses_keys_and_odd_texts(make: Callable[..., list[str]]) -> None:
    fields = {"model": "m", "num_captions": 1, "prompt": "@it's", "rerank": True}
    at = {"name": "a.jpg", "address": "https://x/y?a=1&b=2"}
    curl, python, line = make(at, [fields], True)
    assert "https://host/a/caption_url" in curl
    assert '-H "Authorization: Bearer $CAPTIONBOX_API_KEY"' in curl
    words = subprocess.run(
        ["bash", "-c", f'curl() {{ printf "%s\\n" "$@"; }}\n{curl}'],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert json.loads(words[words.index("-d") + 1]) == {"url": at["address"], **fields}
    compile(python, "snippet", "exec")
    assert 'client.caption("https://x/y?a=1&b=2"' in python and "rerank=True" in python
    assert "'https://x/y?a=1&b=2'" in line and "--rerank" in line and "--rerank true" not in line
    curl, python, line = make({"name": "-x.jpg", "address": None}, [fields, {"model": "n"}], False)
    assert "--form-string 'prompt=@it'\\''s'" in curl and "Bearer" not in curl
    # One request a model.
    assert curl.count("https://host/a/caption") == 2 == python.count("client.caption(")
    assert line.count("captionbox caption ./-x.jpg") == 2
