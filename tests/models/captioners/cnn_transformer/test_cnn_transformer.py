"""The network: cached decoding, several captions a picture, never-produced tokens, saving."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.captioners.cnn_transformer.config import CnnTransformerConfig
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.presets import COMPACT, KERAS_EXAMPLE, TF_TUTORIAL
from models.captioners.cnn_transformer.tokenizer import BOS_ID, EOS_ID, UNK_ID
from models.layers.network_protocol import IGNORED

Maker = Callable[[str], CnnTransformer]


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=generator)


def test_cached_decoding_equals_uncached_token_by_token(make_network: Maker, style: str) -> None:
    network = make_network(style)
    tokens = torch.randint(3, network.config.vocab_size, (3, 8))
    tokens[:, 0] = BOS_ID
    with torch.no_grad():
        memory = network.encode(pictures(3))
        whole = network.decode(tokens, memory)
        state = network.start(memory, 8)
        for position in range(8):
            logits = network.step(tokens[:, position], state)
            torch.testing.assert_close(logits, whole[:, position], atol=1e-4, rtol=1e-4)


def test_cache_follows_reordered_and_dropped_rows(make_network: Maker, style: str) -> None:
    network = make_network(style)
    first = torch.tensor([BOS_ID] * 3)
    with torch.no_grad():
        memory = network.encode(pictures(3))
        state = network.start(memory, 6)
        network.step(first, state)
        # Two rows for pictures 2 and 0; picture 1 leaves.
        state.select(torch.tensor([2, 2, 0, 0]), torch.tensor([2, 0]))
        network.step(torch.tensor([4, 5, 6, 7]), state)
        state.select(torch.tensor([1, 0, 3, 3]))
        logits = network.step(torch.tensor([8, 9, 5, 4]), state)
        sequences = torch.tensor([[BOS_ID, 5, 8], [BOS_ID, 4, 9], [BOS_ID, 7, 5], [BOS_ID, 7, 4]])
        whole = network.decode(sequences, memory[[2, 0]])[:, -1]
    torch.testing.assert_close(logits, whole, atol=1e-4, rtol=1e-4)


def test_captions_of_one_picture_do_not_see_each_other(make_network: Maker, style: str) -> None:
    network = make_network(style)
    ids = torch.randint(3, network.config.vocab_size, (2, 4, 6))
    images = pictures(2)
    with torch.no_grad():
        together = network(input_ids=ids, pixels=images).logits
        for picture in range(2):
            for caption in range(4):
                alone = network(
                    input_ids=ids[picture : picture + 1, caption : caption + 1],
                    pixels=images[picture : picture + 1],
                ).logits[0, 0]
                torch.testing.assert_close(together[picture, caption], alone, atol=1e-4, rtol=1e-4)


def test_later_tokens_do_not_change_earlier_logits(make_network: Maker, style: str) -> None:
    network = make_network(style)
    ids = torch.randint(3, network.config.vocab_size, (1, 1, 6))
    other = ids.clone()
    other[..., 4:] = 3
    with torch.no_grad():
        one = network(input_ids=ids, pixels=pictures(1)).logits
        two = network(input_ids=other, pixels=pictures(1)).logits
    torch.testing.assert_close(one[..., :4, :], two[..., :4, :])


def test_pad_unk_and_start_are_impossible(make_network: Maker, style: str) -> None:
    network = make_network(style)
    with torch.no_grad():
        logits = network(input_ids=torch.full((1, 1, 3), BOS_ID), pixels=pictures(1)).logits
    assert torch.isinf(logits[..., :3]).all()
    assert torch.isfinite(logits[..., 3:]).all()


def test_loss_is_the_mean_over_counted_known_tokens(make_network: Maker) -> None:
    network = make_network("compact")
    ids = torch.tensor([[[BOS_ID, 5, 6, 7]]])
    labels = torch.tensor([[[5, UNK_ID, 7, IGNORED]]])
    with torch.no_grad():
        out = network(input_ids=ids, labels=labels, pixels=pictures(1))
        log_probs = out.logits[0, 0].log_softmax(-1)
    expected = -(log_probs[0, 5] + log_probs[2, 7]) / 2
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_precomputed_features_give_the_same_loss(make_network: Maker) -> None:
    network = make_network("compact")
    ids, images = torch.tensor([[[BOS_ID, 5]]]), pictures(1)
    labels = torch.tensor([[[5, EOS_ID]]])
    with torch.no_grad():
        direct = network(input_ids=ids, labels=labels, pixels=images).loss
        features = network.image_features(images)
        cached = network(input_ids=ids, labels=labels, features=features).loss
    torch.testing.assert_close(direct, cached)


def test_pixels_or_features_but_not_both(make_network: Maker) -> None:
    with pytest.raises(ValueError, match="either pixels or features"):
        make_network("compact")(input_ids=torch.full((1, 1, 2), BOS_ID))


def test_too_many_steps_are_refused(make_network: Maker) -> None:
    network = make_network("compact")
    with pytest.raises(ValueError, match="at most 20, got 21"):
        network.start(network.encode(pictures(1)), 21)


def test_saved_and_loaded_network_is_the_same(
    make_network: Maker, style: str, tmp_path: Path
) -> None:
    network = make_network(style)
    network.save_pretrained(tmp_path)
    loaded = CnnTransformer.from_pretrained(tmp_path).eval()
    ids = torch.randint(3, network.config.vocab_size, (2, 1, 5))
    with torch.no_grad():
        before = network(input_ids=ids, pixels=pictures(2)).logits
        after = loaded(input_ids=ids, pixels=pictures(2)).logits
    assert torch.equal(before, after)


def test_full_size_configurations_have_the_tutorials_sizes() -> None:
    with torch.device("meta"):
        tutorial = CnnTransformer(CnnTransformerConfig.of(5_000, TF_TUTORIAL.network))
        example = CnnTransformer(CnnTransformerConfig.of(10_000, KERAS_EXAMPLE.network))
        default = CnnTransformer(CnnTransformerConfig.of(3_629, COMPACT.network))
    assert tutorial.token_embedding.weight.shape == (5_000, 256)
    assert len(tutorial.decoder) == 2
    assert tutorial.decoder[0].cross_attention.heads == 2
    assert example.grid == (10, 10)
    assert (len(example.encoder), len(example.decoder)) == (1, 1)
    assert not any(parameter.requires_grad for parameter in example.trunk.parameters())
    # What is committed must stay under 40 MB as float16.
    assert 2 * sum(parameter.numel() for parameter in default.parameters()) < 40e6
