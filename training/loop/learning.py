"""Which weights learn, and how fast: the recipe's freezing and its two learning rates."""

from __future__ import annotations

from typing import Any

from torch import nn

from models.layers.network_protocol import TrainableNetwork
from training.recipes.recipe import Recipe


def fix_what_does_not_learn(network: TrainableNetwork, recipe: Recipe) -> None:
    """Fix the weights that the recipe never trains.

    To be called before several processes agree on what learns.
    """
    module: Any = network
    if recipe.decoder_learns == "cross-attention":
        module.requires_grad_(False)
        for part in network.cross_attention():
            part.requires_grad_(True)
    network.let_trunk_learn(recipe.trunk_learning_rate > 0)


def parameter_groups(network: TrainableNetwork, recipe: Recipe) -> list[dict[str, Any]]:
    """Return AdamW's groups: trunk or not, matrices (decayed) or vectors (not)."""
    module: Any = network
    trunk = {id(parameter) for parameter in network.trunk_parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        in_trunk = id(parameter) in trunk
        # A trunk that waits for its first epochs stands still now but learns later.
        if recipe.trunk_learning_rate > 0 if in_trunk else parameter.requires_grad:
            groups.setdefault((in_trunk, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.trunk_learning_rate if in_trunk else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
        }
        for (in_trunk, decayed), parameters in groups.items()
    ]
