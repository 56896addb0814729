"""The moving average of weights: its numbers, its place in the network, its file."""

from pathlib import Path

import pytest
import torch
from torch import nn

from training.loop.weight_average import WeightAverage


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.Conv2d(2, 3, 3)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def change(model: nn.Module, steps: int, average: WeightAverage) -> list[torch.Tensor]:
    """Change the weights at random, step by step; return the first matrix after each step."""
    seen = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update()
        seen.append(next(model.parameters()).detach().clone())
    return seen


@pytest.mark.parametrize("decay", [0.3, 0.95])
def test_is_the_exponential_average_with_a_warm_up(decay: float) -> None:
    model = network()
    average = WeightAverage(model, decay)
    first, *later = change(model, 30, average)
    expected = first
    for step, present in enumerate(later, 1):
        past = min(decay, (1 + step) / (10 + step))
        expected = past * expected + (1 - past) * present
    with average.in_place():
        torch.testing.assert_close(next(model.parameters()).detach(), expected)


def test_own_weights_come_back() -> None:
    model = network()
    average = WeightAverage(model, 0.9)
    last = change(model, 3, average)[-1]
    with pytest.raises(KeyError), average.in_place():
        assert not torch.equal(next(model.parameters()), last)
        raise KeyError
    assert torch.equal(next(model.parameters()), last)


def test_goes_on_from_a_file_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model, other = network(), network(1)
    straight, resumed = WeightAverage(model, 0.9), WeightAverage(other, 0.9)
    change(model, 5, straight)
    straight.save(tmp_path)
    resumed.load(tmp_path)
    other.load_state_dict(model.state_dict())
    for pair in ((model, straight), (other, resumed)):
        torch.manual_seed(2)
        change(*pair[:1], 5, pair[1])
    with straight.in_place(), resumed.in_place():
        for mine, theirs in zip(
            model.state_dict().values(), other.state_dict().values(), strict=True
        ):
            assert torch.equal(mine, theirs)


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    WeightAverage(nn.Linear(2, 2), 0.9).save(tmp_path)
    with pytest.raises(RuntimeError):
        WeightAverage(network(), 0.9).load(tmp_path)
