"""Every family of transformers captioners, tiny, against transformers' own processor and search."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions, UnsupportedOptionError
from models.captioners.vlm.captioner import ImageTextToTextCaptioner
from models.captioners.vlm.families import ARCHITECTURES, MODEL_TYPES, family_class
from models.captioners.vlm.families.blip2 import Blip2
from models.captioners.vlm.step import merge_ends
from models.checkpoints.pretrained import ModelImportError
from models.registry import load_captioner
from tests.models.captioners.vlm.families import MAKERS, REFERENCES, extended, import_tiny

SEARCHES = [
    CaptionOptions(num_beams=1),
    CaptionOptions(num_beams=4, max_length=10),
    CaptionOptions(num_captions=3, length_penalty=0.0, max_length=8),
    CaptionOptions(prompt="the red dog", max_length=6),
    CaptionOptions(temperature=1.3, top_p=0.9, seed=5, num_captions=2, max_length=8),
]


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the model directory of each family, converted from a hub model."""
    found = {}
    for name, make in MAKERS.items():
        source, target = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp(f"{name}-model")
        make(source)
        import_tiny(source, target)
        found[name] = target
    return found


@pytest.fixture(scope="module")
def captioners(directories: dict[str, Path]) -> dict[str, ImageTextToTextCaptioner]:
    """Return a captioner of each family."""
    found = {}
    for name, directory in directories.items():
        loaded = load_captioner(directory)
        assert isinstance(loaded, ImageTextToTextCaptioner)
        found[name] = loaded
    return found


@pytest.fixture(params=MAKERS)
def captioner(
    request: pytest.FixtureRequest, captioners: dict[str, ImageTextToTextCaptioner]
) -> ImageTextToTextCaptioner:
    return captioners[request.param]


def pictures(captioner: ImageTextToTextCaptioner, count: int) -> np.ndarray:
    """Return pictures that differ in their large shapes as well as in their noise."""
    spec, generator = captioner.preprocess, np.random.default_rng(3)
    coarse = generator.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    tall = coarse.repeat(-(-spec.height // 4), 2).repeat(-(-spec.width // 4), 3)
    return np.ascontiguousarray(tall[:, :, : spec.height, : spec.width])


def test_every_supported_type_has_a_test_here() -> None:
    tested = {family_class(kind) for kind in MODEL_TYPES}
    assert {family_class(kind) for kind in MAKERS} == tested
    assert len(ARCHITECTURES) == len(MODEL_TYPES)


def test_captions_differ_between_pictures(captioner: ImageTextToTextCaptioner) -> None:
    found = [group[0] for group in captioner.caption(pictures(captioner, 8), CaptionOptions())]
    assert len({caption.text for caption in found}) >= 4
    for caption in found:
        assert not caption.text or caption.text.endswith((".", "?", "!"))
        assert caption.log_prob <= 0
        assert 0 < caption.confidence <= 1


@pytest.mark.parametrize("options", SEARCHES)
def test_batch_equals_one_by_one(
    captioner: ImageTextToTextCaptioner, options: CaptionOptions
) -> None:
    images = pictures(captioner, 5)
    together = captioner.caption(images, options)
    for index in range(len(images)):
        alone = captioner.caption(images[index : index + 1], options)[0]
        assert [c.text for c in alone] == [c.text for c in together[index]]
        for one, other in zip(alone, together[index], strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, abs=1e-3)


PROMPTS = [None, "the red dog", "a man", None, "what is there ?", "a"]


@pytest.mark.parametrize("beams", [1, 3])
def test_prompts_of_all_lengths_in_one_batch(
    captioner: ImageTextToTextCaptioner, beams: int
) -> None:
    images = pictures(captioner, len(PROMPTS))
    asked = [CaptionOptions(prompt=prompt, num_beams=beams, max_length=8) for prompt in PROMPTS]
    together = captioner.caption(images, asked)
    for index, options in enumerate(asked):
        ((alone,),) = captioner.caption(images[index : index + 1], options)
        assert [alone.text] == [caption.text for caption in together[index]]
        assert alone.log_prob == pytest.approx(together[index][0].log_prob, abs=1e-3)


@pytest.mark.parametrize("name", ["blip", "florence2", "smolvlm", "llava"])
def test_prompts_share_the_encoder_and_every_step(
    captioners: dict[str, ImageTextToTextCaptioner], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Eight prompts at once: one prefill of eight pictures, in families that mix prompts."""
    captioner, sizes = captioners[name], []
    prefill = captioner.family.prefill

    def counted(values: torch.Tensor, prompts: Sequence[str | None]) -> Any:
        sizes.append(len(prompts))
        return prefill(values, prompts)

    monkeypatch.setattr(captioner.family, "prefill", counted)
    asked = [CaptionOptions(prompt=f"{'a ' * index}dog", num_beams=1) for index in range(8)]
    captioner.caption(pictures(captioner, 8), asked)
    assert sizes == [8]


def test_seeds_of_each_picture_in_one_batch(captioner: ImageTextToTextCaptioner) -> None:
    images = pictures(captioner, 4)
    asked = [CaptionOptions(temperature=1.5, seed=seed, max_length=6) for seed in (1, 2, 1, 3)]
    together = captioner.caption(images, asked)
    for index, options in enumerate(asked):
        alone = captioner.caption(images[index : index + 1], options)[0]
        assert [c.text for c in alone] == [c.text for c in together[index]]
    with pytest.raises(ValueError, match="differing in seed and prompt only"):
        captioner.caption(images[:2], [CaptionOptions(), CaptionOptions(max_length=6)])
    with pytest.raises(ValueError, match="one for each picture"):
        captioner.caption(images[:2], [CaptionOptions()])


@pytest.mark.parametrize("prompt", [None, "the red dog"])
@pytest.mark.parametrize("beams", [1, 4])
def test_same_tokens_as_transformers_generate(
    captioner: ImageTextToTextCaptioner, beams: int, prompt: str | None
) -> None:
    images = pictures(captioner, 6)
    options = CaptionOptions(num_beams=beams, max_length=8, prompt=prompt)
    pils = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    expected = REFERENCES[captioner.family.config.model_type](
        captioner.family, pils, captioner.prompt(options), num_beams=beams, max_new_tokens=8
    )
    ends = captioner.family.end_ids
    found = captioner._decode(images, [options] * len(images))
    for group, tokens in zip(found, expected.tolist(), strict=True):
        length = next((i + 1 for i, t in enumerate(tokens) if t in ends), len(tokens))
        assert list(group[0].tokens) == [ends[0] if t in ends else t for t in tokens[:length]]


def test_scores_are_what_teacher_forcing_gives(captioner: ImageTextToTextCaptioner) -> None:
    images = pictures(captioner, 3)
    options = CaptionOptions(num_captions=2, max_length=8, prompt="a man")
    family = captioner.family
    captions = captioner.caption(images, options)
    for picture, group in enumerate(captioner._decode(images, [options] * len(images))):
        values = captioner.pixel_values(images[picture : picture + 1])
        for hypothesis, caption in zip(group, captions[picture], strict=True):
            # The whole caption at once, without a cache.
            tokens = torch.tensor([hypothesis.tokens])
            inputs = extended(family, family.prefill(values, [options.prompt]), tokens[:, :-1])
            with torch.no_grad():
                logits = family.decoder(**inputs, use_cache=False).logits[0, -tokens.shape[1] :]
            log_probs = merge_ends(logits.float(), family.end_ids).log_softmax(-1)
            chosen = log_probs.gather(1, tokens[0, :, None])
            assert caption.log_prob == pytest.approx(chosen.sum().item(), abs=1e-3)
            assert caption.confidence == pytest.approx(math.exp(chosen.mean().item()), abs=1e-3)


def test_several_captions_differ_in_their_words(captioner: ImageTextToTextCaptioner) -> None:
    for options in (
        CaptionOptions(num_captions=5, max_length=6),
        CaptionOptions(num_captions=5, max_length=6, temperature=4.0, seed=1),
    ):
        for group in captioner.caption(pictures(captioner, 3), options):
            assert len({caption.text.lower() for caption in group}) == len(group) == 5


def test_seeds(captioner: ImageTextToTextCaptioner) -> None:
    images = pictures(captioner, 2)

    def draw(seed: int | None) -> list[list[str]]:
        options = CaptionOptions(temperature=2.0, num_captions=3, seed=seed, max_length=8)
        return [[c.text for c in group] for group in captioner.caption(images, options)]

    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    assert draw(None) != draw(None)


def test_markers_and_endless_prompts_are_refused(captioner: ImageTextToTextCaptioner) -> None:
    images = pictures(captioner, 1)
    marker = next(iter(captioner.family.tokenizer.added_tokens_encoder))
    with pytest.raises(UnsupportedOptionError, match="is a marker"):
        captioner.caption(images, CaptionOptions(prompt=f"a {marker} dog"))
    with pytest.raises(UnsupportedOptionError, match=r"\d+ tokens, and this model has room for"):
        captioner.caption(images, CaptionOptions(prompt="a dog " * 83))


def test_attention_is_refused(captioner: ImageTextToTextCaptioner) -> None:
    with pytest.raises(UnsupportedOptionError, match="attention"):
        captioner.caption(pictures(captioner, 1), CaptionOptions(attention=True))


def test_many_pictures_are_decoded_in_parts(
    captioner: ImageTextToTextCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, options = pictures(captioner, 5), CaptionOptions(num_beams=2, max_length=6)
    whole = captioner.caption(images, options)
    monkeypatch.setattr("models.captioners.vlm.captioner._ROWS_AT_ONCE", 4)
    parts = captioner.caption(images, options)
    assert [[c.text for c in group] for group in whole] == [[c.text for c in g] for g in parts]


def test_to_end_is_one_event() -> None:
    logits = torch.tensor([[0.5, 1.0, -1.0, 2.0]])
    before, after = logits.softmax(-1)[0], merge_ends(logits, [3, 1]).softmax(-1)[0]
    assert after[3].item() == pytest.approx((before[3] + before[1]).item())
    assert after[1].item() == 0
    assert after[[0, 2]].tolist() == pytest.approx(before[[0, 2]].tolist())
    assert merge_ends(logits, [3]) is logits


def test_florence2_tasks(captioners: dict[str, ImageTextToTextCaptioner]) -> None:
    captioner = captioners["florence2"]
    images = pictures(captioner, 2)

    def asked(prompt: str | None) -> list[float]:
        groups = captioner.caption(images, CaptionOptions(prompt=prompt, max_length=8))
        return [group[0].log_prob for group in groups]

    assert asked("<CAPTION>") == asked(None) == asked("What does the image describe?")
    assert asked("<DETAILED_CAPTION>") != asked(None)
    for wrong in ("<OD>", "a <CAPTION>", "<REGION_TO_CATEGORY>1"):
        with pytest.raises(UnsupportedOptionError, match="no task that gives a caption"):
            captioner.caption(images, CaptionOptions(prompt=wrong))


def test_of_a_question_the_answer_only(captioners: dict[str, ImageTextToTextCaptioner]) -> None:
    family = captioners["blip"].family
    tokens = family.tokenizer("red dog", add_special_tokens=False)["input_ids"]
    assert family.text("a photo of", tokens) == "a photo of red dog"
    assert family.text("what is there?", tokens) == "red dog"
    assert family.text("Question: what? Answer: ", tokens) == "red dog"
    assert family.text(None, tokens) == "red dog"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_directory_says_so(
    directories: dict[str, Path], tmp_path: Path, name: str, damage: str
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(directories["blip"], copy)
    path = copy / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BrokenModelError):
        load_captioner(copy)


def test_foreign_tokenizer_is_refused(directories: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(directories["blip"], copy)
    shutil.copyfile(directories["smolvlm"] / "tokenizer.json", copy / "tokenizer.json")
    with pytest.raises(BrokenModelError, match="not the vocabulary this model learnt with"):
        load_captioner(copy)


def test_missing_weights_are_noticed(tmp_path: Path) -> None:
    MAKERS["git"](tmp_path / "git")
    path = tmp_path / "git" / "model.safetensors"
    weights = load_file(path)
    del weights["git.visual_projection.visual_projection.0.weight"]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelImportError, match=r"weights are missing, git\.visual_projection"):
        import_tiny(tmp_path / "git", tmp_path)


def test_a_layout_of_remote_code_is_named(tmp_path: Path) -> None:
    MAKERS["florence2"](tmp_path / "florence2")
    path = tmp_path / "florence2" / "config.json"
    config = json.loads(path.read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_florence2.Florence2"}
    path.write_text(json.dumps(config))
    (tmp_path / "model").mkdir()
    import_tiny(tmp_path / "florence2", tmp_path / "model")
    weights = load_file(tmp_path / "florence2" / "model.safetensors")
    renamed = {name.replace("model.vision_tower", "vision"): t for name, t in weights.items()}
    save_file(renamed, tmp_path / "florence2" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelImportError, match="look for a conversion"):
        import_tiny(tmp_path / "florence2", tmp_path / "model")


@pytest.mark.parametrize("template", ["{% if %}", "no picture", "{{ messages[9].role }}<image>"])
def test_a_chat_template_that_does_not_fit_is_noticed(tmp_path: Path, template: str) -> None:
    MAKERS["smolvlm"](tmp_path / "hub")
    (tmp_path / "hub" / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelImportError, match="the network cannot read a picture"):
        import_tiny(tmp_path / "hub", tmp_path / "model")


def test_blip2_with_an_encoder_is_refused() -> None:
    config = SimpleNamespace(
        use_decoder_only_language_model=False, text_config=SimpleNamespace(model_type="t5")
    )
    with pytest.raises(BrokenModelError, match="BLIP-2 with t5 is not supported"):
        Blip2(SimpleNamespace(config=config), None)


def test_pickled_tensors_are_read_and_written_as_safetensors(tmp_path: Path) -> None:
    source, target = tmp_path / "git", tmp_path / "model"
    MAKERS["git"](source)
    torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    target.mkdir()
    import_tiny(source, target)
    assert (target / "model.safetensors").is_file()
    assert not list(target.glob("*.bin"))
    load_captioner(target)


class Harmful:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harmed",)


def test_no_other_pickle_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    MAKERS["git"](tmp_path / "git")
    (tmp_path / "git" / "model.safetensors").unlink()
    torch.save({"weights": Harmful()}, tmp_path / "git" / "pytorch_model.bin")
    with pytest.raises(ModelImportError, match="weights cannot be read"):
        import_tiny(tmp_path / "git", tmp_path)
    assert not (tmp_path / "harmed").exists()
