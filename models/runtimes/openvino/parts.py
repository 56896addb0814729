"""What a network hands over to become graphs: four modules and their sizes.

A graph is run as a whole and in one precision, so there are four: `encoder` brings pictures to the
decoder's memory; `pictures` makes each layer's cross-attention keys and values of it, once a
picture; `step` feeds one token a row; `words` scores the vocabulary.

Rows of one picture are query positions of one product, towards the picture and towards what they
have written alike: a picture has one cache of keys and values, which all of its rows write to, and
a mask says which of its slots a row descends from. So a search that reorders its beams moves the
mask's few numbers and no keys, and nothing of a picture is copied for its rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.network_protocol import CaptionNetwork
from models.runtimes.openvino.files import Sizes


@dataclass(frozen=True)
class Parts:
    """A network as modules that `torch.jit.trace` can follow, in evaluation mode, float32.

    P is pictures, R the rows of each, W slots of the cache, S what is attended to of a picture.

    Attributes:
        encoder: `uint8 [P, 3, H, W]` to memory `[P, S, M]`.
        pictures: memory to every layer's keys, then values, `[P, heads, S, head_dim]` each.
        step: from tokens (int64 `[P, R]`), position (int64 `[1]`), mask (`[P, 1, R, W]`, 0 where a
            row has written, -inf elsewhere), every layer's keys, then values, of the slots
            (`[P, heads, W, head_dim]`), and those of `pictures`, to the last layer's output
            `[P, R, D]`, every layer's new keys, then values, `[2 * layers, P, heads, R, head_dim]`,
            and the weights of the last layer's cross-attention averaged over heads, `[P, R, S]`.
        words: that output to logits `[P, R, V]`, those of tokens that are never produced -inf.
        sizes: what the modules do not say of themselves; `width` is D.
    """

    encoder: nn.Module
    pictures: nn.Module
    step: nn.Module
    words: nn.Module
    sizes: Sizes


class Encoder(nn.Module):
    """The `encoder` of any network.

    Args:
        network: in evaluation mode, float32.
    """

    def __init__(self, network: CaptionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Map `uint8 [P, 3, H, W]` to memory `[P, S, M]`."""
        return self.network.encode(pixels)


class Step(nn.Module):
    """The `step` of a decoder whose layers follow one another.

    Args:
        words: embeds tokens.
        positions: embeds positions.
        layers: each maps hidden `[P, R, D]`, the mask, its keys and values of the slots and of the
            pictures to the new hidden, where it looked, `[P, heads, R, S]`, its new key and value.
    """

    def __init__(
        self, words: nn.Embedding, positions: nn.Embedding, layers: Iterable[nn.Module]
    ) -> None:
        super().__init__()
        self.words, self.positions, self.layers = words, positions, nn.ModuleList(layers)

    def forward(
        self, tokens: Tensor, position: Tensor, mask: Tensor, *caches: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Feed one token a row; see `Parts`."""
        hidden = self.words(tokens) + self.positions(position)
        new: list[Tensor] = []
        looked, first_picture = hidden, 2 * len(self.layers)
        for index, layer in enumerate(self.layers):
            own, cross = caches[2 * index :], caches[first_picture + 2 * index :]
            hidden, looked, *written = layer(hidden, mask, *own[:2], *cross[:2])
            new += written
        return hidden, torch.stack(new), looked.mean(1)


def attend_to_written(
    query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, mask: Tensor
) -> Tensor:
    """Attend from rows to what they have written, this token included.

    Args:
        query, key, value: of this token, `[P, heads, R, head_dim]`; the query is scaled.
        keys, values: of the slots, `[P, heads, W, head_dim]`.
        mask: `[P, 1, R, W]`.

    Returns:
        `[P, heads, R, head_dim]`.
    """
    # The token's own part is a sum of products beside the slots': to append it to them would copy
    # them all in every step.
    before = query @ keys.transpose(-1, -2) + mask
    own = (query * key).sum(-1, keepdim=True)
    weights = torch.cat((before, own), -1).softmax(-1)
    return weights[..., :-1] @ values + weights[..., -1:] * value


def attend_to_picture(query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Attend from rows to their picture.

    Args:
        query: `[P, heads, R, head_dim]`, scaled.
        keys, values: `[P, heads, S, head_dim]`.

    Returns:
        `[P, heads, R, head_dim]`, and the weights `[P, heads, R, S]`.
    """
    weights = (query @ keys.transpose(-1, -2)).softmax(-1)
    return weights @ values, weights


def split_heads(projected: Tensor, heads: int) -> Tensor:
    """Return `[P, heads, R, head_dim]` of `[P, R, heads * head_dim]`."""
    return projected.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(mixed: Tensor) -> Tensor:
    """Return `[P, R, heads * head_dim]` of `[P, heads, R, head_dim]`."""
    return mixed.transpose(1, 2).flatten(2)


def side_by_side(*layers: nn.Linear) -> nn.Linear:
    """Return one layer of several layers' outputs side by side."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    bias = torch.cat([layer.bias.detach() for layer in layers])
    out = nn.Linear(weight.shape[1], weight.shape[0])
    out.weight = nn.Parameter(weight, requires_grad=False)
    out.bias = nn.Parameter(bias, requires_grad=False)
    return out
