"""The embedded model: its size, its card, its captions of real photographs."""

from pathlib import Path

import pytest

from models.api.metadata import read
from models.api.options import CaptionOptions
from models.registry import load_captioner
from training.data.coco import load_split
from training.evaluate import evaluate, main
from training.export.model_directory import card
from training.loop.captioning import caption_images, texts

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "weights" / "compact"
FLICKR = ROOT.parent / "shared" / "data" / "flickr8k"

needs_flickr = pytest.mark.skipif(not FLICKR.is_dir(), reason="no ../shared/data with Flickr8k")


def test_is_small_enough_to_commit() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "models").rglob("*.*")) < 40e6


def test_card_says_what_the_metadata_says() -> None:
    assert (MODEL / "README.md").read_text(encoding="utf-8") == card(read(MODEL))


@pytest.mark.long
@needs_flickr
def test_reaches_its_card_and_the_first_bar() -> None:
    found = read(MODEL)
    recorded = found.metrics["flickr8k/val"]
    (how,) = (one.conditions for one in found.scores if one.scores == recorded)
    evaluation = evaluate(
        str(MODEL), FLICKR, "val", beams=how.num_beams, tokenizer=how.tokenizer or "words"
    )
    assert evaluation.conditions == how
    scores = evaluation.scores
    # Other processors round otherwise; a caption or two of a thousand may differ.
    assert scores.cider == pytest.approx(recorded["cider"], abs=0.01)
    assert scores.bleu_4 == pytest.approx(recorded["bleu_4"], abs=0.005)
    assert scores.cider >= 0.46
    assert scores.bleu_4 >= 0.195


@needs_flickr
def test_batch_size_does_not_change_captions() -> None:
    images = load_split(FLICKR, "val").images[:12]
    captioner = load_captioner(MODEL)
    one = caption_images(captioner, images, CaptionOptions(), batch_size=1)
    twelve = caption_images(captioner, images, CaptionOptions(), batch_size=12)
    assert texts(one) == texts(twelve)


@needs_flickr
def test_wrong_split_is_one_clear_line(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["--model", str(MODEL), "--data", str(FLICKR), "--split", "holiday"]) == 2
    assert "no captions for the split 'holiday'" in caplog.text
