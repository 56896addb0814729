"""The report of an evaluation: complete, harmless whatever the captions say, readable by people."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.api.measured import Conditions
from models.api.metadata import ModelMetadata
from models.api.options import DecodeDefaults
from models.api.preprocessing import PreprocessSpec
from training.data.coco import CaptionedImage, load_split
from training.evaluate import main as evaluate_command
from training.export.charts import histogram, line_chart
from training.export.report import ReportContent, read_curves, write_report
from training.loop.run_directory import LOG_NAME, find_in_run
from training.metrics.scoring import score

EVIL = '<script>alert("x")</script>&\'"'


class Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, attribute: str) -> list[str]:
        return [str(found[attribute]) for name, found in self.tags if name == tag]


def content(shapes: Path, log: Path | None = None, **changes: object) -> ReportContent:
    images = load_split(shapes, "val").images
    captions = {image.image_id: image.references[1] for image in images}
    captions[1], captions[2] = "a purple cow", f"{EVIL} thing"
    scores = score(captions, {image.image_id: image.references for image in images})
    metadata = ModelMetadata(
        method="compact",
        preprocess=PreprocessSpec(),
        decode=DecodeDefaults(),
        data=[f"shapes{EVIL}: 12 pictures"],
        source=f"python {EVIL}",
        git_sha="abcdef",
    )
    fields = {"images": images, "captions": captions, "scores": scores, **changes}
    how = Conditions.of("shapes/val", len(captions), DecodeDefaults(), "fp32", scores.tokenizer)
    return ReportContent("my model", metadata, how, log=log, **fields)  # type: ignore[arg-type]


def test_shows_scores_and_pictures(shapes: Path, tmp_path: Path) -> None:
    page_file = write_report(content(shapes), tmp_path / "report", examples=4)
    page = Page(page_file.read_text(encoding="utf-8"))
    assert page.open == []
    assert "my model on shapes/val" in page.text
    assert "beam search of width 3, up to 24 tokens" in page.text
    assert "fp32, lower-cased words without punctuation" in page.text
    shown = page.values("img", "src")
    assert len(shown) == 12
    for source in shown:
        with Image.open(page_file.parent / source) as picture:
            assert picture.format == "JPEG"
    # The worst first: the two that say nothing true.
    assert set(shown[4:6]) == {"pictures/1.jpg", "pictures/2.jpg"}
    assert "A red circle on a white background." in page.text
    odd = [tag for tag in page.tags if tag == ("span", {"class": "odd"})]
    assert len(odd) >= 3


def test_nothing_in_it_runs_or_asks_elsewhere(shapes: Path, tmp_path: Path) -> None:
    images = tuple(
        CaptionedImage(image.image_id, image.path, (f'{EVIL}" onerror="x', *image.references))
        for image in load_split(shapes, "val").images
    )
    page_file = write_report(content(shapes, images=images), tmp_path)
    page = Page(page_file.read_text(encoding="utf-8"))
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "link", "object"})
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert EVIL in page.text
    links = page.values("a", "href") + page.values("img", "src")
    assert all(link.startswith(("#", "pictures/")) for link in links)
    ids = {str(found["id"]) for _, found in page.tags if "id" in found}
    assert {link[1:] for link in links if link.startswith("#")} <= ids


def test_picture_that_has_gone(shapes: Path, tmp_path: Path) -> None:
    first, *others = load_split(shapes, "val").images
    gone = CaptionedImage(first.image_id, tmp_path / "gone.png", first.references)
    page = write_report(content(shapes, images=(gone, *others), unreadable=7), tmp_path)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "picture cannot be read" in text
    assert "7 unreadable pictures left out" in text


LOG = [
    {"step": 10, "epoch": 0.5, "loss": 5.0, "learning_rate": 0.1},
    {"step": 20, "epoch": 1.0, "loss": 4.0},
    {"step": 20, "epoch": 1.0, "eval_cider": 0.3},
    {"step": 30, "epoch": 1.5, "loss": 9.0},
    {"step": 30, "epoch": 1.5, "loss": 3.0},
    {"step": 40, "epoch": 2.0, "eval_cider": float("nan")},
    {"step": 50, "epoch": None, "train_loss": 3.5},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    lines = [json.dumps(entry) for entry in LOG]
    (folder / "log.jsonl").write_text("\n".join([*lines, "[]", '{"step": 60, "epo']))
    return folder


def test_log_of_a_resumed_and_killed_run(run: Path) -> None:
    curves = read_curves(run / "log.jsonl", ("loss", "reward", "eval_cider"))
    assert curves == {
        "loss": [(0.5, 5.0), (1.0, 4.0), (1.5, 3.0)],
        "eval_cider": [(1.0, 0.3)],
    }
    for model in (run, run / "model"):
        assert find_in_run(str(model), LOG_NAME) == run / "log.jsonl"
    assert find_in_run("compact:latest", LOG_NAME) is None


def test_learning_curve_is_drawn(run: Path, shapes: Path) -> None:
    with_log = write_report(content(shapes, run / "log.jsonl"), run / "report").read_text(
        encoding="utf-8"
    )
    assert "Training loss" in with_log
    assert "best 0.300, epoch 1" in with_log
    assert with_log.count("<svg") == 3
    assert (
        write_report(content(shapes), run / "report").read_text(encoding="utf-8").count("<svg") == 1
    )
    (run / "log.jsonl").write_text('{"step": 1, "epoch": 1, "loss": 1e-9, "reward": 0.7}\n')
    rewarded = write_report(content(shapes, run / "log.jsonl"), run / "report").read_text(
        encoding="utf-8"
    )
    assert "Reward" in rewarded
    assert "Training loss" not in rewarded


VALUES = st.floats(-1e6, 1e6, allow_nan=False)


@given(points=st.lists(st.tuples(st.floats(0, 1e5), VALUES), min_size=1, max_size=400))
def test_any_line_stays_inside_its_frame(points: list[tuple[float, float]]) -> None:
    page = Page(line_chart("t", sorted(points), "<x>", "y&"))
    assert page.open == []
    for place in page.values("polyline", "points")[0].split():
        x, y = map(float, place.split(","))
        assert 51.9 <= x <= 464.1
        assert 35.9 <= y <= 214.1


@given(values=st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_any_histogram_counts_all(values: list[float]) -> None:
    page = Page(histogram("t", values, "CIDEr"))
    bars = [float(height) for height in page.values("rect", "height")]
    assert len(bars) == 24
    assert all(height >= 0 for height in bars)
    assert sum(map(int, re.findall(r": (\d+) pictures", page.text))) == len(values)


def test_command_writes_it(
    tiny_model: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(tiny_model), "--data", str(shapes), "--split", "val"]
    assert evaluate_command([*arguments, "--report", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "report.html").is_file()
    assert "CIDEr" in capsys.readouterr().out


def test_report_that_cannot_be_written_is_one_line(
    tiny_model: Path, shapes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["--model", str(tiny_model), "--data", str(shapes), "--split", "val"]
    assert evaluate_command([*arguments, "--report", "/proc/report"]) == 2
    assert "/proc/report" in caplog.text
