"""`compact` and the tutorials' captioners on real OpenVINO: the reference's tokens and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.api.device import has_openvino
from models.api.options import CaptionOptions
from models.captioners.cnn_transformer.captioner import CompactCaptioner
from models.captioners.cnn_transformer.graphs import parts
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.openvino_captioner import CompactOpenVinoCaptioner
from models.decoding.beam import beam_search
from models.decoding.protocol import SearchSettings
from models.export_openvino import add_graphs
from models.registry import load_captioner
from models.runtimes.openvino.decoder import OpenVinoDecoder
from models.runtimes.openvino.export import check
from models.runtimes.openvino.files import GraphsInfo
from models.runtimes.openvino.graphs import write_graphs
from models.runtimes.torch.search import TorchDecoder

Maker = Callable[[str], CnnTransformer]

pytestmark = pytest.mark.skipif(
    not has_openvino(), reason="no OpenVINO: pip install -r requirements.lock"
)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 3, 64, 64), np.uint8)


def test_float32_gives_the_trained_networks_tokens_and_scores(
    make_network: Maker, style: str, tmp_path: Path
) -> None:
    network, images = make_network(style), pictures(9)
    write_graphs(parts(network), tmp_path, ("fp32",), images[:1])
    check(network, network.vocab_size, tmp_path, images[:3])
    graphs, reference = OpenVinoDecoder(tmp_path, "fp32"), TorchDecoder(network)
    for beams in (1, 4):
        how = SearchSettings(
            network.bos_id,
            network.eos_id,
            max_tokens=14,
            num_beams=beams,
            num_return=beams,
            no_repeat_ngram=2,
        )
        ours, theirs = (
            beam_search(each.step, each.start(each.encode(images), 14), 9, how)
            for each in (graphs, reference)
        )
        for mine, wanted in zip(ours, theirs, strict=True):
            assert [h.tokens for h in mine] == [h.tokens for h in wanted]
            assert [h.score for h in mine] == pytest.approx([h.score for h in wanted], abs=1e-3)
    tokens = torch.randint(4, network.vocab_size, (6, 7), generator=torch.manual_seed(3)).numpy()
    maps, wanted_maps = (
        each.word_maps(tokens, each.encode(images[:2])) for each in (graphs, reference)
    )
    np.testing.assert_allclose(maps, wanted_maps, rtol=1e-3, atol=1e-4)


def test_captions_are_the_references_in_every_way(directory: Path) -> None:
    add_graphs(directory, ("fp32",))
    assert GraphsInfo.read(directory).weights == ("fp32",)
    reference = CompactCaptioner.load_trainable(directory)
    captioner = load_captioner(directory, "fp32", "openvino")
    assert isinstance(captioner, CompactOpenVinoCaptioner)
    images = pictures(11)
    for options in (
        CaptionOptions(),
        CaptionOptions(num_beams=1, attention=True),
        CaptionOptions(num_captions=4, length_penalty=0.5),
        CaptionOptions(temperature=0.9, top_p=0.9, seed=7, num_captions=3),
        CaptionOptions(temperature=1.3, seed=8),
    ):
        ours, theirs = (each.caption(images, options) for each in (captioner, reference))
        for mine, wanted in zip(ours, theirs, strict=True):
            assert [c.text for c in mine] == [c.text for c in wanted]
            found, expected = ([c.log_prob for c in group] for group in (mine, wanted))
            assert found == pytest.approx(expected, abs=1e-3)
            assert [bool(c.words) for c in mine] == [bool(c.words) for c in wanted]
    # They depend on the picture, if a random network's words may not.
    assert len({round(group[0].log_prob, 3) for group in ours}) > 3


def test_weights_that_are_half_take_half_the_space(make_network: Maker, tmp_path: Path) -> None:
    network = make_network("compact")
    sizes = []
    for name in ("whole", "half"):
        (tmp_path / name).mkdir()
        write_graphs(parts(network), tmp_path / name, ("fp32",), pictures(1))
        written = (tmp_path / name / "openvino").glob("*.bin")
        sizes.append(sum(path.stat().st_size for path in written))
        network.half().float()
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.1)
    check(network, network.vocab_size, tmp_path / "half", pictures(2))
