"""ViT + GPT-2: the hub's files, the same tokens as transformers, scores, attention, damage."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    DeiTConfig,
    GPT2Config,
    GPT2Tokenizer,
    SwinConfig,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)

import models.api.metadata as metadata_module
from models.api.device import Precision
from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions
from models.captioners.vit_gpt2.captioner import VitGpt2Captioner
from models.captioners.vit_gpt2.convert import convert, hub_defaults
from models.captioners.vit_gpt2.network import VitGpt2
from models.captioners.vit_gpt2.tokenizer import SubwordTokenizer
from models.checkpoints.pretrained import ModelImportError
from models.decoding.candidates import normalised
from models.registry import load_captioner
from models.runtimes.torch.search import beam_search
from tests.checkpoints import OTHER_ENCODERS, random_pictures, write_gpt2_tokenizer, write_vit_gpt2
from tests.formats import needs


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as nlpconnect's is on the hub, small and random."""
    return write_vit_gpt2(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def directory(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a model directory."""
    target = tmp_path_factory.mktemp("model")
    metadata_module.write(target, convert(hub, target))
    return target


@pytest.fixture(scope="module")
def captioner(directory: Path) -> VitGpt2Captioner:
    loaded = load_captioner(directory)
    assert isinstance(loaded, VitGpt2Captioner)
    return loaded


@pytest.fixture(scope="module")
def reference(hub: Path) -> VisionEncoderDecoderModel:
    return VisionEncoderDecoderModel.from_pretrained(hub).eval()


def scaled(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).float() / 127.5 - 1


@pytest.mark.parametrize(
    ("beams", "returned", "length_penalty"), [(1, 1, 1.0), (4, 1, 1.0), (4, 4, 0.0), (3, 2, 2.0)]
)
def test_same_tokens_as_transformers_generate(
    captioner: VitGpt2Captioner,
    reference: VisionEncoderDecoderModel,
    beams: int,
    returned: int,
    length_penalty: float,
) -> None:
    images = random_pictures(64)
    theirs = reference.generate(
        scaled(images),
        max_new_tokens=16,
        do_sample=False,
        num_beams=beams,
        num_return_sequences=returned,
        length_penalty=length_penalty,
    )[:, 1:].tolist()
    end = captioner.network.eos_id
    expected = [tuple(row[: row.index(end) + 1] if end in row else row) for row in theirs]
    options = CaptionOptions(num_beams=beams, length_penalty=length_penalty)
    settings = replace(captioner.settings(options), num_return=returned)
    with torch.inference_mode():
        memory = captioner.network.encode(torch.from_numpy(images))
        state = captioner.network.start(memory, settings.max_tokens)
        step = captioner.network.step
        found = beam_search(step, state, len(images), settings, memory.device)
    ours = [hypothesis.tokens for group in found for hypothesis in group]
    assert ours == expected
    # The comparison says something: captions differ, some end early and some are cut.
    assert len(set(ours)) > 32
    lengths = {len(tokens) for tokens in ours}
    assert len(lengths) > 4
    assert 16 in lengths


def test_defaults_are_the_model_cards(captioner: VitGpt2Captioner) -> None:
    settings = captioner.settings(CaptionOptions())
    assert (settings.num_beams, settings.max_tokens) == (4, 16)
    assert settings.bos_id == settings.eos_id == 319


def test_teacher_forced_logits_are_transformers(
    captioner: VitGpt2Captioner, reference: VisionEncoderDecoderModel
) -> None:
    images = random_pictures(3)
    tokens = torch.randint(0, 320, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = reference(scaled(images), decoder_input_ids=tokens).logits
        memory = captioner.network.encode(torch.from_numpy(images))
        ours = captioner.network.decode(tokens, memory)
        # Two captions a picture: the rows of one picture share its keys.
        twice = captioner.network.decode(tokens.repeat_interleave(2, 0), memory)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(twice[::2], theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(twice[1::2], theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_formats_stay_close(
    directory: Path, reference: VisionEncoderDecoderModel, precision: Precision
) -> None:
    needs(precision)
    captioner = load_captioner(directory, precision)
    assert isinstance(captioner, VitGpt2Captioner)
    images = random_pictures(8)
    tokens = torch.randint(0, 320, (8, 7), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = reference(scaled(images), decoder_input_ids=tokens).logits
        memory = captioner.network.encode(torch.from_numpy(images))
        found = captioner.network.decode(tokens, memory)
    assert found.dtype == torch.float32
    assert (found - wanted).std() < 0.1 * wanted.std()
    # Search, attention and scores run too.
    captions = captioner.caption(images, CaptionOptions(num_beams=3, attention=True))
    assert all(group[0].words is not None for group in captions)


@pytest.mark.parametrize(
    "options",
    [CaptionOptions(num_captions=3), CaptionOptions(temperature=1.0, seed=4, num_captions=2)],
)
def test_scores_are_what_teacher_forcing_gives(
    captioner: VitGpt2Captioner, reference: VisionEncoderDecoderModel, options: CaptionOptions
) -> None:
    images = random_pictures(5)
    captions = captioner.caption(images, options)
    with torch.inference_mode():
        memory = captioner.network.encode(torch.from_numpy(images))
        hypotheses = captioner._decode(memory, [options] * len(memory))
    for picture, group in enumerate(hypotheses):
        assert len(group) == options.num_captions
        for hypothesis, caption in zip(group, captions[picture], strict=True):
            tokens = torch.tensor([[captioner.network.bos_id, *hypothesis.tokens]])
            with torch.no_grad():
                pixels = scaled(images[picture : picture + 1])
                logits = reference(pixels, decoder_input_ids=tokens[:, :-1]).logits
            chosen = logits.log_softmax(-1)[0].gather(1, tokens[0, 1:, None])
            assert caption.log_prob == pytest.approx(chosen.sum().item(), abs=1e-3)
            assert caption.confidence == pytest.approx(math.exp(chosen.mean().item()), abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        CaptionOptions(),
        CaptionOptions(num_beams=1),
        CaptionOptions(num_captions=6),
        CaptionOptions(temperature=0.9, top_p=0.9, seed=7, num_captions=3),
    ],
)
def test_batch_equals_one_by_one(captioner: VitGpt2Captioner, options: CaptionOptions) -> None:
    images = random_pictures(6)
    together = captioner.caption(images, options)
    for index in range(6):
        alone = captioner.caption(images[index : index + 1], options)[0]
        assert [c.text for c in alone] == [c.text for c in together[index]]
        for one, other in zip(alone, together[index], strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        CaptionOptions(num_captions=10),
        CaptionOptions(num_captions=4, num_beams=4),
        CaptionOptions(num_captions=5, temperature=0.5, seed=1),
    ],
)
def test_no_caption_comes_twice(captioner: VitGpt2Captioner, options: CaptionOptions) -> None:
    for group in captioner.caption(random_pictures(8), options):
        assert len({normalised(caption.text) for caption in group}) == len(group)
        assert 1 <= len(group) <= (options.num_captions or 1)
        if options.temperature is None and options.length_penalty is None:
            assert len(group) == options.num_captions


def test_attention_is_that_of_the_last_layer(captioner: VitGpt2Captioner, hub: Path) -> None:
    images = random_pictures(2)
    found = captioner.caption(images, CaptionOptions(attention=True))
    with torch.inference_mode():
        memory = captioner.network.encode(torch.from_numpy(images))
        tokens = captioner._decode(memory, [CaptionOptions()] * len(memory))[1][0].tokens
    eager = VisionEncoderDecoderModel.from_pretrained(hub, attn_implementation="eager").eval()
    inputs = torch.tensor([[captioner.network.bos_id, *tokens[:-1]]])
    with torch.no_grad():
        output = eager(scaled(images[1:]), decoder_input_ids=inputs, output_attentions=True)
    weights = output.cross_attentions[-1][0].mean(0)[:, 1:]  # [T, 16] without the class token
    weights = weights / weights.sum(-1, keepdim=True)
    words = found[1][0].words
    assert words is not None
    spans = captioner.tokenizer.sentence_spans(tokens)
    assert [word.word for word in words] == [word for word, _ in spans]
    assert any(len(positions) > 1 for _, positions in spans)
    for word, (_, positions) in zip(words, spans, strict=True):
        grid = np.array(word.attention)
        assert grid.shape == (4, 4)
        assert grid.sum() == pytest.approx(1, abs=1e-4)
        np.testing.assert_allclose(grid.ravel(), weights[positions].mean(0), atol=1e-4)


def test_true_size_has_a_grid_of_14_by_14() -> None:
    assert VitGpt2(
        VisionEncoderDecoderConfig.from_encoder_decoder_configs(
            DeiTConfig(hidden_size=12, num_hidden_layers=1, num_attention_heads=1),
            GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9, bos_token_id=8, eos_token_id=8),
        )
    ).grid == (14, 14)


@pytest.mark.parametrize("encoder", OTHER_ENCODERS, ids=("deit", "swin"))
def test_other_encoders(encoder: DeiTConfig | SwinConfig) -> None:
    torch.manual_seed(0)
    decoder = GPT2Config(
        n_embd=16, n_layer=1, n_head=2, vocab_size=9, bos_token_id=8, eos_token_id=8
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    network = VitGpt2(config).eval()
    pixels = torch.from_numpy(random_pictures(2, 32))
    tokens = torch.tensor([[8, 1, 2], [8, 3, 4]])
    with torch.no_grad():
        memory = network.encode(pixels)
        maps = network.word_maps(tokens, memory)
        ours = network.decode(tokens, memory)
        theirs = VisionEncoderDecoderModel.forward(
            network, scaled(pixels.numpy()), decoder_input_ids=tokens
        ).logits
    rows, columns = network.grid
    assert maps.shape == (2, 3, rows, columns)
    torch.testing.assert_close(maps.sum((-1, -2)), torch.ones(2, 3))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_what_is_converted_loads_in_transformers_too(
    directory: Path, reference: VisionEncoderDecoderModel
) -> None:
    names = {path.name for path in directory.iterdir()}
    assert "model.safetensors" in names
    assert not any(name.endswith(".bin") for name in names)
    config = json.loads((directory / "config.json").read_text())
    assert config["architectures"] == ["VisionEncoderDecoderModel"]
    again = VisionEncoderDecoderModel.from_pretrained(directory).eval()
    for (name, one), (_, other) in zip(
        reference.named_parameters(), again.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("tied", [True, False])
def test_saved_and_loaded_is_the_same_network(tmp_path: Path, tied: bool) -> None:
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 1}
    encoder = DeiTConfig(**sizes, intermediate_size=8, image_size=32, patch_size=16)
    decoder = GPT2Config(
        n_embd=8,
        n_layer=1,
        n_head=1,
        vocab_size=9,
        bos_token_id=8,
        eos_token_id=8,
        tie_word_embeddings=tied,
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    network = VitGpt2(config).eval()
    network.save_pretrained(tmp_path)
    again = VitGpt2.from_pretrained(tmp_path).eval()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_loss_keeps_one_end_token(captioner: VitGpt2Captioner) -> None:
    network = captioner.network
    end = network.eos_id
    inputs = torch.tensor([[[end, 5, 6], [end, 7, end]]])
    labels = torch.tensor([[[5, 6, end], [7, end, -100]]])
    pixels = torch.from_numpy(random_pictures(1))
    with torch.no_grad():
        output = network(inputs, pixels, labels)
        log_probs = network.decode(inputs[0], network.encode(pixels)).log_softmax(-1)
    counted = [(0, 0, 5), (0, 1, 6), (0, 2, end), (1, 0, 7), (1, 1, end)]
    expected = -sum(log_probs[at].item() for at in counted) / 5
    assert output.loss is not None
    assert output.loss.item() == pytest.approx(expected, abs=1e-4)


# --- what cannot be imported -------------------------------------------------------------------


@pytest.fixture
def copy(hub: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in hub.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('ran code of a model')",))


def test_a_pickle_is_not_run(copy: Path, tmp_path: Path) -> None:
    with (copy / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"encoder.embeddings.cls_token": Evil()}, file)
    with pytest.raises(ModelImportError, match="the weights cannot be read"):
        convert(copy, tmp_path)
    torch.save({"encoder.embeddings.cls_token": Evil()}, copy / "pytorch_model.bin")
    with pytest.raises(ModelImportError, match="the weights cannot be read"):
        convert(copy, tmp_path)


def test_missing_weights_are_named(copy: Path, tmp_path: Path) -> None:
    path = copy / "pytorch_model.bin"
    tensors = torch.load(path, weights_only=True)
    del tensors["decoder.transformer.h.1.crossattention.q_attn.weight"]
    torch.save(tensors, path)
    with pytest.raises(ModelImportError, match=r"crossattention.q_attn.weight"):
        convert(copy, tmp_path)


@pytest.mark.parametrize(
    ("part", "kind"), [("decoder", "trocr"), ("encoder", "donut-swin"), ("decoder", None)]
)
def test_other_pairs_are_refused(copy: Path, tmp_path: Path, part: str, kind: str | None) -> None:
    path = copy / "config.json"
    config = json.loads(path.read_text())
    if kind is None:
        del config[part]
    else:
        config[part]["model_type"] = kind
    path.write_text(json.dumps(config))
    with pytest.raises(ModelImportError, match="vit-gpt2 takes one of vit, deit, swin with gpt2"):
        convert(copy, tmp_path)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "preprocessor_config.json"])
def test_missing_files_are_named(copy: Path, tmp_path: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelImportError, match=r"tokenizer's files|preprocessor_config\.json"):
        convert(copy, tmp_path)


def test_generation_config_gives_the_decode_defaults(tmp_path: Path) -> None:
    path = tmp_path / "generation_config.json"
    path.write_text('{"num_beams": 2, "max_length": 21, "eos_token_id": 5}')
    found = hub_defaults(tmp_path)
    assert (found.num_beams, found.max_length, found.length_penalty) == (2, 20, 1.0)
    # As the families read theirs: nothing of it stops an import or is dropped.
    for content, beams, longest in (
        ('{"num_beams": 500}', 4, 16),
        ('{"max_length": 512}', 4, 48),
        ('{"max_length": 21, "max_new_tokens": null}', 4, 20),
        ('{"max_length": 512, "max_new_tokens": 30}', 4, 30),
        ('{"max_length": "long", "num_beams": 1}', 4, 16),
    ):
        path.write_text(content)
        found = hub_defaults(tmp_path)
        assert (found.num_beams, found.max_length) == (beams, longest), content
    path.write_text("[")
    with pytest.raises(ModelImportError, match="generation_config"):
        hub_defaults(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_directory_says_so(directory: Path, tmp_path: Path, name: str) -> None:
    for path in directory.iterdir():
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(data[: len(data) // 2] if path.name == name else data)
    with pytest.raises(BrokenModelError):
        load_captioner(tmp_path)


def test_larger_vocabulary_than_the_network_is_refused(directory: Path, tmp_path: Path) -> None:
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tokenizer.json").unlink()
    write_gpt2_tokenizer(tmp_path, 340)
    with pytest.raises(BrokenModelError, match="the vocabulary has 340 tokens, the network 320"):
        load_captioner(tmp_path)


# --- tokenizer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a red dog runs", "café, naïve; 2 dogs' hats", "日本の猫 🐈"])
def test_tokens_are_gpt2s(hub: Path, text: str) -> None:
    theirs = GPT2Tokenizer.from_pretrained(hub)
    ours = SubwordTokenizer.load(hub)
    ids = ours.encode(text)
    assert ids == theirs.encode(text.lower(), add_special_tokens=False)
    assert ours.sentence([*ids, 319]).lower() == f"{text}."


def test_words_carry_the_places_of_their_pieces(hub: Path) -> None:
    tokenizer = SubwordTokenizer.load(hub)
    ids = tokenizer.encode("  A  surfboard, zebra.")
    spans = tokenizer.sentence_spans([*ids, 319])
    assert [word for word, _ in spans] == ["A", "surfboard,", "zebra"]
    placed = [position for _, positions in spans for position in positions]
    assert placed == sorted(set(placed))
    # A piece that is nothing but a space is part of no word.
    spaces = [i for i, token_id in enumerate(ids) if not tokenizer._bytes(token_id).strip()]
    assert sorted([*placed, *spaces]) == list(range(len(ids)))
    assert len(spans[2][1]) > 1  # a word never seen is made of pieces
    assert tokenizer.sentence(ids) == "A surfboard, zebra."
    assert tokenizer.sentence([319]) == ""


def test_half_a_character_is_no_error(hub: Path) -> None:
    tokenizer = SubwordTokenizer.load(hub)
    ids = tokenizer.encode("🐈")
    assert len(ids) > 1
    assert tokenizer.sentence(ids[:-1]) == "�."
