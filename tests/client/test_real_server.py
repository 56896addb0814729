"""The client and the command against `bentoml serve` with the tiny model."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from captionbox import (
    Captionbox,
    CaptionboxVersionWarning,
    NotFoundError,
    PermissionDeniedError,
    UnprocessableContentError,
    UnsupportedMediaTypeError,
    __version__,
    version,
)
from captionbox.cli.app import app
from captionbox.cli.output.endings import ExitCode
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from tests.drawings import NAMES, caption_of, draw, encode
from tests.picture_site import Site, serve_site
from tests.server import Server


@pytest.fixture
def sdk(server: Server) -> Iterator[Captionbox]:
    with Captionbox(server.url) as client:
        yield client


def test_each_picture_gets_its_own_caption(sdk: Captionbox) -> None:
    pictures = [encode(draw(name)) for name in NAMES]
    outcomes = list(sdk.caption_many(pictures * 2, concurrency=16))
    assert [one.unwrap().text for one in outcomes] == [caption_of(name) for name in NAMES] * 2


def test_everything_the_server_tells(sdk: Captionbox) -> None:
    result = sdk.caption(draw("red ring"), num_captions=2, num_beams=3, id="mine")
    assert result.text == caption_of("red ring")
    assert len(result.captions) == 2
    assert 0 < result.confidence <= 1
    assert result.captions[0].log_prob >= result.captions[1].log_prob
    assert result.id == "mine"
    assert (result.image.width, result.image.height, result.image.format) == (96, 96, "JPEG")
    assert result.model.name == "compact"
    assert result.timing_ms.inference > 0


def test_batches(sdk: Captionbox) -> None:
    images = [encode(draw(name)) for name in NAMES] + [b"nothing"]
    outcomes = sdk.caption_batch(images)
    assert [one.unwrap().text for one in outcomes[:-1]] == [caption_of(name) for name in NAMES]
    assert isinstance(outcomes[-1].error, UnsupportedMediaTypeError)


def test_refusals(sdk: Captionbox) -> None:
    image = encode(draw("red ring"))
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        sdk.caption(b"%PDF-1.4")
    assert caught.value.type == "/problems/unsupported-image"
    assert caught.value.request_id
    with pytest.raises(UnprocessableContentError, match="truncated") as broken:
        sdk.caption(image[: len(image) // 2])
    assert broken.value.type == "/problems/broken-image"
    with pytest.raises(UnprocessableContentError) as option:
        sdk.caption(image, num_beams=99)
    assert [one.field for one in option.value.errors] == ["num_beams"]
    with pytest.raises(NotFoundError, match="compact"):
        sdk.caption(image, model="nobody")


def test_models_and_version(sdk: Captionbox) -> None:
    assert [(one.id, one.default) for one in sdk.models()] == [("compact", True)]
    assert sdk.server_version() == __version__


def test_a_server_of_another_version(
    server: Server, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(version, "__version__", "7.1.0")
    with Captionbox(server.url) as sdk:
        for _ in range(2):
            assert sdk.caption(draw("red ring")).text == caption_of("red ring")
    (warned,) = [one for one in recwarn if one.category is CaptionboxVersionWarning]
    told = f"the server is Captionbox {__version__} but this client is 7.1.0"
    assert told in str(warned.message)
    done = CliRunner().invoke(app, ["check", "--base-url", server.url])
    assert done.exit_code == ExitCode.REFUSED
    assert f"version  {__version__} (this client: 7.1.0)" in done.stdout


def test_matching(
    matching_server: Server, command_environment: dict[str, str], tmp_path: Path
) -> None:
    with Captionbox(matching_server.url) as client:
        result = client.match(draw("red ring"), ["a dog", "a red ring", "a cat"])
        assert sorted(one.text for one in result.matches) == ["a cat", "a dog", "a red ring"]
        assert result.best.score == max(one.score for one in result.matches)
        assert result.model is not None and result.model.name == "bridgetower"
        assert result.image is not None and result.image.width == 96
        with pytest.raises(UnprocessableContentError) as caught:
            client.match(draw("red ring"), ["a dog", "x" * 2001])
        assert [one.field for one in caught.value.errors] == ["texts"]
        with pytest.raises(NotFoundError, match="No matcher 'compact'"):
            client.match(draw("red ring"), ["a dog"], model="compact")
        models = [(one.id, one.kind, one.default) for one in client.models()]
        assert models == [("compact", "captioner", True), ("bridgetower", "matcher", False)]
        best = client.caption(draw("red ring"), rerank=True, num_captions=3)
        scores = [one.match_score or 0.0 for one in best.captions]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True)
        assert best.matcher is not None and best.matcher.method == "bridgetower"
    (tmp_path / "a.png").write_bytes(encode(draw("red ring")))
    done = subprocess.run(
        ["captionbox", "match", "a.png", "a dog", "a red ring", "--base-url", matching_server.url],
        cwd=tmp_path,
        env=command_environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    header, *rows = done.stdout.splitlines()
    assert header == "score\ttext"
    told = {text: float(score) for score, text in (row.split("\t") for row in rows)}
    expected = {one.text: one.score for one in result.matches if one.text != "a cat"}
    assert told == pytest.approx(expected, abs=1e-4)


def test_no_matcher(sdk: Captionbox) -> None:
    with pytest.raises(NotFoundError) as caught:
        sdk.match(draw("red ring"), ["a dog"])
    assert caught.value.type == "/problems/no-matcher"
    with pytest.raises(UnprocessableContentError, match="matcher"):
        sdk.caption(draw("red ring"), rerank=True)


def test_addresses(
    server: Server,
    sdk: Captionbox,
    fetching_server: Server,
    site: Site,
    command_environment: dict[str, str],
) -> None:
    ring = base64.b64encode(encode(draw("red ring"))).decode()
    assert sdk.caption(f"data:image/png;base64,{ring}").text == caption_of("red ring")
    # Servers fetch nothing unless their owner allows that.
    with pytest.raises(PermissionDeniedError) as refused:
        sdk.caption(site.url("/picture"))
    assert refused.value.type == "/problems/urls-not-allowed"
    with Captionbox(fetching_server.url) as fetching:
        assert fetching.caption(site.url("/picture")).text == caption_of("red ring")
        with pytest.raises(UnprocessableContentError) as caught:
            fetching.caption("http://169.254.169.254/latest/meta-data")
        assert caught.value.type == "/problems/url-refused"
        # In a batch, addresses go alone and files together; the order is kept.
        outcomes = fetching.caption_batch([site.url("/picture"), encode(draw("gold bar"))])
        texts = [one.unwrap().text for one in outcomes]
        assert texts == [caption_of("red ring"), caption_of("gold bar")]
    command = ["captionbox", "caption", site.url("/picture"), "--base-url", fetching_server.url]
    done = subprocess.run(
        command, env=command_environment, capture_output=True, text=True, timeout=240, check=True
    )
    assert done.stdout == f"{site.url('/picture')}\t{caption_of('red ring')}\n"


def test_the_command(server: Server, tmp_path: Path, command_environment: dict[str, str]) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.png").write_bytes(encode(draw(name)))
    (tmp_path / "broken.jpg").write_bytes(encode(draw("red bar"), "JPEG")[:500])
    command = ["captionbox", "caption", ".", "-f", "jsonl", "-o", "out", "--num-beams", "2"]
    done = subprocess.run(
        [*command, "--base-url", server.url],
        cwd=tmp_path,
        env=command_environment,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    captions = {one["image"]: one["caption"] for one in records if "caption" in one}
    assert captions == {f"{name}.png": caption_of(name) for name in NAMES}
    errors = {one["image"]: one["error"]["type"] for one in records if "error" in one}
    assert errors == {"broken.jpg": "/problems/broken-image"}


def test_addresses_among_files_on_a_server_that_fetches_none(
    server: Server, tmp_path: Path, command_environment: dict[str, str]
) -> None:
    (tmp_path / "bar.png").write_bytes(encode(draw("gold bar")))
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    with serve_site() as site:
        url, gone = site.url("/picture"), site.url("/missing")
        page = f"<img src={url}><img src={gone}><img src='{dot}' data-src=bar.png><img src='{dot}'>"
        (tmp_path / "page.html").write_text(page)

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["captionbox", *arguments, "--base-url", server.url],
                cwd=tmp_path,
                env=command_environment,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )

        done = run("caption", "bar.png", url, gone, "bar.png")
        ring, bar = caption_of("red ring"), caption_of("gold bar")
        assert done.returncode == 1
        assert done.stdout.splitlines()[:2] == [f"bar.png\t{bar}", f"{url}\t{ring}"]
        assert done.stdout.splitlines()[2].startswith(f"{gone}\t\terror: cannot fetch {gone}: ")
        done = run("alt", "page.html")
        assert done.returncode == 1 and done.stderr.startswith(f"cannot fetch {gone}: ")
        expected = page.replace("<img", f'<img alt="{ring}"', 1)
        expected = expected.replace(
            f"<img src='{dot}' data", f"<img alt=\"{bar}\" src='{dot}' data"
        )
        assert (tmp_path / "page.html").read_text() == expected


def test_wrong_options_stop_the_command(
    server: Server, tmp_path: Path, command_environment: dict[str, str]
) -> None:
    (tmp_path / "a.png").write_bytes(encode(draw("red bar")))
    for option, value in (("--num-beams", "99"), ("--model", "nobody"), ("--prompt", "a photo")):
        done = subprocess.run(
            ["captionbox", "caption", "a.png", option, value, "--base-url", server.url],
            cwd=tmp_path,
            env=command_environment,
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 3, (option, done.stdout, done.stderr)


def captioned(server: Server) -> int:
    """Return how many pictures the server has captioned."""
    families = text_string_to_metric_families(httpx.get(f"{server.url}/metrics", timeout=60).text)
    samples = [sample for family in families for sample in family.samples]
    return int(sum(one.value for one in samples if one.name == "captionbox_images_captioned_total"))


# A thousand answers take a slow machine minutes, and how many is none of this test's business.
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_images_killed_twice(
    server: Server, tmp_path: Path, command_environment: dict[str, str]
) -> None:
    concurrency, folder, out = 8, tmp_path / "photos", tmp_path / "captions.jsonl"
    folder.mkdir()
    contents = {name: encode(draw(name)) for name in NAMES}
    of = {f"{n:04}.png": NAMES[n % len(NAMES)] for n in range(1000)}
    broken = {f"{n:04}.png" for n in range(50, 1000, 100)}
    for file, name in of.items():
        content = contents[name]
        (folder / file).write_bytes(content[: len(content) // 2] if file in broken else content)
    command = ["captionbox", "caption", "photos", "-f", "jsonl", "-o", out.name]
    command += ["--concurrency", str(concurrency), "--base-url", server.url]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, cwd=tmp_path, env=command_environment, stderr=subprocess.DEVNULL
        )

    before = captioned(server)
    for enough in (200, 500):
        process = start()
        while captioned(server) - before < enough:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start().wait() == 1

    records = [json.loads(line) for line in out.read_text().splitlines()]
    files = [Path(one["image"]).name for one in records]
    assert sorted(files) == sorted(of)
    captions = {Path(one["image"]).name: one["caption"] for one in records if "caption" in one}
    assert captions == {file: caption_of(of[file]) for file in of if file not in broken}
    errors = [one["error"]["type"] for one in records if "error" in one]
    assert errors == ["/problems/broken-image"] * 10
    # Each once, but for those on their way when the process was killed.
    assert 990 <= captioned(server) - before <= 990 + 2 * concurrency
