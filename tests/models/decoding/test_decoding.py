"""Beam search against brute force and against transformers' generate(); sampling."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from models.decoding.protocol import SearchSettings
from models.decoding.sampling import _draw, _nucleus, _Uniform
from models.runtimes.torch.search import beam_search, sample

BOS, EOS = 0, 1
CPU = torch.device("cpu")


@dataclass
class Prefixes:
    """A decoder state that keeps whole sequences: no cache to get wrong."""

    rows: Tensor

    def select(self, rows: Tensor, pictures: Tensor | None = None) -> None:
        self.rows = self.rows[rows]


class ToyModel:
    """Random logits that depend on the picture and on the whole prefix; 6 words."""

    vocabulary = 6

    def __init__(self, seed: int, sharpness: float = 2.0) -> None:
        self.seed, self.sharpness = seed, sharpness

    def logits(self, prefix: list[int]) -> Tensor:
        key = hash((self.seed, *prefix)) % 2**31
        logits = torch.randn(self.vocabulary, generator=torch.Generator().manual_seed(key))
        logits[BOS] = -math.inf
        return logits * self.sharpness

    def start(self, pictures: list[int]) -> Prefixes:
        return Prefixes(torch.tensor([[picture] for picture in pictures]))

    def step(self, tokens: Tensor, state: Prefixes) -> Tensor:
        state.rows = torch.cat((state.rows, tokens[:, None]), 1)
        return torch.stack([self.logits(row) for row in state.rows.tolist()])

    def log_prob(self, picture: int, tokens: tuple[int, ...]) -> float:
        prefix, total = [picture, BOS], 0.0
        for token in tokens:
            total += self.logits(prefix).log_softmax(-1)[token].item()
            prefix.append(token)
        return total


def settings(**changes: float) -> SearchSettings:
    return SearchSettings(**{"bos_id": BOS, "eos_id": EOS, "max_tokens": 4, **changes})


def all_captions(longest: int) -> list[tuple[int, ...]]:
    words = [w for w in range(ToyModel.vocabulary) if w not in (BOS, EOS)]
    ended = [(*body, EOS) for n in range(longest) for body in itertools.product(words, repeat=n)]
    return ended + list(itertools.product(words, repeat=longest))


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_wide_beam_search_equals_brute_force(seed: int, length_penalty: float) -> None:
    model, longest, wanted = ToyModel(seed), 4, 5
    # As wide as all prefixes: nothing is pruned, so the search must be exact.
    found = beam_search(
        model.step,
        model.start([0, 1]),
        2,
        settings(
            max_tokens=longest, num_beams=400, num_return=wanted, length_penalty=length_penalty
        ),
        CPU,
    )
    for picture, hypotheses in enumerate(found):
        scored = [(model.log_prob(picture, c), c) for c in all_captions(longest)]
        ranked = sorted(scored, key=lambda pair: -pair[0] / len(pair[1]) ** length_penalty)
        assert [h.tokens for h in hypotheses] == [caption for _, caption in ranked[:wanted]]
        for hypothesis, (log_prob, _) in zip(hypotheses, ranked, strict=False):
            assert hypothesis.log_prob == pytest.approx(log_prob, abs=1e-4)


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_batch_equals_one_by_one(beams: int) -> None:
    model = ToyModel(3)
    how = settings(max_tokens=8, num_beams=beams, num_return=beams)
    together = beam_search(model.step, model.start(list(range(7))), 7, how, CPU)
    for picture in range(7):
        alone = beam_search(model.step, model.start([picture]), 1, how, CPU)[0]
        assert [h.tokens for h in together[picture]] == [h.tokens for h in alone]


@pytest.fixture(scope="module")
def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=20,
        n_positions=32,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=EOS,
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)  # sharp enough to have opinions, flat enough to end
    return model


@pytest.mark.parametrize(
    ("beams", "returned", "length_penalty"),
    [(1, 1, 1.0), (2, 1, 1.0), (4, 1, 1.0), (4, 4, 1.0), (4, 2, 0.0), (4, 2, 2.0), (5, 3, -1.0)],
)
def test_same_tokens_as_transformers_generate(
    gpt2: GPT2LMHeadModel, beams: int, returned: int, length_penalty: float
) -> None:
    pictures = torch.arange(2, 18)[:, None]

    def step(tokens: Tensor, state: Prefixes) -> Tensor:
        state.rows = torch.cat((state.rows, tokens[:, None]), 1)
        return gpt2(state.rows).logits[:, -1]

    ours = beam_search(
        step,
        Prefixes(pictures),
        16,
        settings(
            max_tokens=10, num_beams=beams, num_return=returned, length_penalty=length_penalty
        ),
        CPU,
    )
    theirs = gpt2.generate(
        torch.cat((pictures, torch.full_like(pictures, BOS)), 1),
        attention_mask=torch.ones(16, 2, dtype=torch.int64),
        max_new_tokens=10,
        do_sample=False,
        num_beams=beams,
        num_return_sequences=returned,
        length_penalty=length_penalty,
        early_stopping=False,
    )[:, 2:].tolist()
    flat = [hypothesis for group in ours for hypothesis in group]
    for hypothesis, row in zip(flat, theirs, strict=True):
        expected = row[: row.index(EOS) + 1] if EOS in row else row
        assert list(hypothesis.tokens) == expected


def test_more_captions_than_beams_is_an_error() -> None:
    model = ToyModel(0)
    with pytest.raises(ValueError, match="num_return 3 exceeds num_beams 2"):
        beam_search(model.step, model.start([0]), 1, settings(num_beams=2, num_return=3), CPU)


def test_no_ngram_occurs_twice() -> None:
    model = ToyModel(1, sharpness=0.1)
    how = settings(max_tokens=12, num_beams=3, num_return=3, no_repeat_ngram=2)
    for group in beam_search(model.step, model.start(list(range(8))), 8, how, CPU):
        for hypothesis in group:
            pairs = list(itertools.pairwise(hypothesis.tokens))
            assert len(pairs) == len(set(pairs))


def test_samples_do_not_depend_on_their_batch() -> None:
    model = ToyModel(5)
    how = settings(max_tokens=8, num_return=3, temperature=1.3, top_p=0.9)
    seeds = [11, 12, 13, 14]
    together = sample(model.step, model.start([0, 1, 2, 3]), 4, how, CPU, seeds)
    for picture, seed in enumerate(seeds):
        alone = sample(model.step, model.start([picture]), 1, how, CPU, [seed])[0]
        assert [h.tokens for h in together[picture]] == [h.tokens for h in alone]


def test_sampled_log_prob_is_the_models_own() -> None:
    model = ToyModel(5)
    how = settings(max_tokens=6, num_return=4, temperature=2.0, top_p=0.8)
    for hypothesis in sample(model.step, model.start([2]), 1, how, CPU, [1])[0]:
        assert hypothesis.log_prob == pytest.approx(model.log_prob(2, hypothesis.tokens), abs=1e-4)


@pytest.mark.parametrize("size", [1, 2])
def test_what_is_forbidden_does_not_make_the_rest_likelier(size: int) -> None:
    model = ToyModel(1, sharpness=0.5)
    how = settings(max_tokens=8, num_return=64, no_repeat_ngram=size)
    drawn = sample(model.step, model.start([2]), 1, how, CPU, [1])[0]
    assert max(len(hypothesis.tokens) for hypothesis in drawn) > 2 * size
    for hypothesis in drawn:
        # As beam search has it: the model's own, however much of it was not allowed.
        assert hypothesis.log_prob == pytest.approx(model.log_prob(2, hypothesis.tokens), abs=1e-4)


def test_samples_follow_the_distribution() -> None:
    model = ToyModel(9)
    how = settings(max_tokens=1, num_return=4000)
    drawn = [h.tokens[0] for h in sample(model.step, model.start([0]), 1, how, CPU, [3])[0]]
    expected = model.logits([0, BOS]).softmax(-1)
    for token in range(ToyModel.vocabulary):
        assert drawn.count(token) / 4000 == pytest.approx(expected[token].item(), abs=0.03)


def test_nucleus_keeps_the_fewest_that_reach_top_p() -> None:
    probabilities = np.array([[0.1, 0.5, 0.25, 0.15]], np.float32)
    assert _nucleus(probabilities, 0.7)[0].nonzero()[0].tolist() == [1, 2]
    assert _nucleus(probabilities, 0.01)[0].nonzero()[0].tolist() == [1]


def test_draw_never_takes_an_impossible_token() -> None:
    weights = np.array([[0.0, 0.5, 0.5, 0.0]] * 3, np.float32)
    assert _draw(weights, np.array([0.0, 0.5, 1.0], np.float32)).tolist() == [1, 2, 2]


@pytest.mark.parametrize("seed", [0, 1, 7, 2**32 - 1, 2**32 + 5, 2**63 - 1])
def test_a_seed_draws_the_numbers_of_torch(seed: int) -> None:
    """Captions of a seed stay what they were, and are the same with and without torch."""
    ours, theirs = _Uniform(seed), torch.Generator().manual_seed(seed)
    for count in (1, 3, 16, 100, 700):
        assert ours.draw(count).tolist() == torch.rand(count, generator=theirs).tolist()
