"""A captioner from directory to captions: options, batches, attention, damage."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions, UnsupportedOptionError
from models.captioners.cnn_transformer.captioner import CompactCaptioner
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import BOS_ID, CaptionTokenizer
from models.registry import load_captioner

Maker = Callable[[str], CnnTransformer]


@pytest.fixture
def captioner(directory: Path) -> CompactCaptioner:
    loaded = load_captioner(directory)
    assert isinstance(loaded, CompactCaptioner)
    return loaded


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 3, 64, 64), dtype=np.uint8)


def test_captions_are_sorted_sentences_with_scores(captioner: CompactCaptioner) -> None:
    for group in captioner.caption(pictures(4), CaptionOptions(num_captions=3)):
        assert len({caption.text for caption in group}) == 3
        for caption in group:
            assert caption.text.endswith(".")
            assert caption.text[0].isupper() or not caption.text[0].isalpha()
            assert caption.log_prob <= 0
            assert 0 < caption.confidence <= 1


def test_confidence_is_what_teacher_forcing_gives(captioner: CompactCaptioner) -> None:
    images = pictures(3)
    options = CaptionOptions(num_captions=2)
    memory = captioner.network.encode(torch.from_numpy(images))
    hypotheses = captioner._decode(memory, [options] * len(memory))
    captions = captioner.caption(images, options)
    for picture, group in enumerate(hypotheses):
        for hypothesis, caption in zip(group, captions[picture], strict=True):
            tokens = torch.tensor([[BOS_ID, *hypothesis.tokens]])
            with torch.no_grad():
                logits = captioner.network.decode(tokens[:, :-1], memory[picture : picture + 1])
            chosen = logits.log_softmax(-1)[0].gather(1, tokens[0, 1:, None])
            assert caption.log_prob == pytest.approx(chosen.sum().item(), abs=1e-3)
            assert caption.confidence == pytest.approx(math.exp(chosen.mean().item()), abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        CaptionOptions(),
        CaptionOptions(num_beams=1),
        CaptionOptions(num_captions=4, length_penalty=0.0),
        CaptionOptions(temperature=1.2, top_p=0.8, seed=5, num_captions=2),
    ],
)
def test_batch_equals_one_by_one(captioner: CompactCaptioner, options: CaptionOptions) -> None:
    images = pictures(6)
    together = captioner.caption(images, options)
    for index in range(6):
        alone = captioner.caption(images[index : index + 1], options)[0]
        assert [c.text for c in alone] == [c.text for c in together[index]]
        for one, other in zip(alone, together[index], strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, abs=1e-3)


def test_seed_repeats_and_no_seed_varies(captioner: CompactCaptioner) -> None:
    images = pictures(1)

    def draw(seed: int | None) -> list[str]:
        options = CaptionOptions(temperature=3.0, num_captions=5, seed=seed)
        return [caption.text for caption in captioner.caption(images, options)[0]]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    assert len({tuple(draw(None)) for _ in range(4)}) > 1


def test_max_length_bounds_the_tokens(captioner: CompactCaptioner) -> None:
    for group in captioner.caption(pictures(4), CaptionOptions(max_length=4)):
        assert len(group[0].text.split()) <= 4


def test_more_captions_than_the_default_beams(captioner: CompactCaptioner) -> None:
    assert len(captioner.caption(pictures(1), CaptionOptions(num_captions=10))[0]) == 10


def test_attention_is_a_map_a_word(captioner: CompactCaptioner) -> None:
    plain = captioner.caption(pictures(2), CaptionOptions())
    looked = captioner.caption(pictures(2), CaptionOptions(attention=True))
    for before, after in zip(plain, looked, strict=True):
        assert before[0].words is None
        assert before[0].text == after[0].text
        words = after[0].words
        assert words is not None
        sentence = " ".join(word.word for word in words)
        assert after[0].text == f"{sentence}."
        for word in words:
            grid = np.array(word.attention)
            assert grid.shape == (2, 2)
            assert grid.sum() == pytest.approx(1, abs=1e-4)


def test_prompt_is_refused(captioner: CompactCaptioner) -> None:
    with pytest.raises(UnsupportedOptionError, match="prompt"):
        captioner.caption(pictures(1), CaptionOptions(prompt="a photo of"))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 3, 64, 64), np.float32),
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((1, 3, 64, 32), np.uint8),
        np.zeros((0, 3, 64, 64), np.uint8),
    ],
)
def test_wrong_pixels_are_refused(captioner: CompactCaptioner, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels must be"):
        captioner.caption(pixels, CaptionOptions())


def test_saved_and_loaded_gives_the_same_captions(
    captioner: CompactCaptioner, directory: Path
) -> None:
    again = load_captioner(directory)
    assert again.caption(pictures(5), CaptionOptions(num_captions=2)) == captioner.caption(
        pictures(5), CaptionOptions(num_captions=2)
    )


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_directory_says_so(directory: Path, name: str, damage: str) -> None:
    path = directory / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenModelError):
        load_captioner(directory)


def test_foreign_vocabulary_is_refused(directory: Path, tokenizer: CaptionTokenizer) -> None:
    words = [f"word{i}" for i in range(len(tokenizer) - 4)]
    CaptionTokenizer.train(words).save(directory)
    with pytest.raises(BrokenModelError, match="not the vocabulary this model learnt with"):
        load_captioner(directory)


def test_vocabulary_of_another_size_is_refused(directory: Path) -> None:
    CaptionTokenizer.train(["too small"]).save(directory)
    with pytest.raises(BrokenModelError, match="the vocabulary has 6 tokens"):
        load_captioner(directory)


def test_pixels_go_where_the_network_is(directory: Path) -> None:
    """Training validates on a GPU; here a device without numbers stands for it.

    The whole encoder runs there: it raises where pixels and weights are on two devices.
    """
    captioner = CompactCaptioner.load_trainable(directory)
    captioner.network.to("meta")  # type: ignore[attr-defined]
    encoded: list[torch.Tensor] = []

    def start(memory: torch.Tensor, _: int) -> None:
        encoded.append(memory)
        raise StopIteration

    captioner.network.start = start  # type: ignore[method-assign, assignment]
    with pytest.raises(StopIteration):
        captioner.caption(pictures(2), CaptionOptions())
    assert encoded[0].device.type == "meta" and len(encoded[0]) == 2
