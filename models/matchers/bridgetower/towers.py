"""BridgeTower's forward pass in parts: each picture once, each text once, then the pairs.

The two towers see only their own modality; only the cross-modal layers above see pairs. So the
states of a picture can be shared by all its texts. Same weights and same results as
`BridgeTowerModel.forward`, which takes a picture per pair.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import BridgeTowerForImageAndTextRetrieval

States: TypeAlias = list[Tensor]
"""Outputs of a tower's top layers, one for each cross-modal layer: `[B, N, D]` each."""

_TEXT, _IMAGE = 0, 1
"""Token types."""


class Towers:
    """The parts of a `BridgeTowerForImageAndTextRetrieval`, with eager attention.

    Args:
        network: the whole model.
    """

    def __init__(self, network: BridgeTowerForImageAndTextRetrieval) -> None:
        self._head: Any = network.itm_score
        self._model: Any = network.bridgetower
        self._visual = self._model.vision_model.visual
        self._cross_layers: int = network.config.num_hidden_layers
        self._shared: bool = network.config.share_cross_modal_transformer_layers

    def images(self, pixels: Tensor) -> States:
        """Run the image tower.

        Args:
            pixels: normalised, `float [B, 3, H, W]`.

        Returns:
            The states that the cross-modal layers read, `[B, 1 + patches, D]` each.
        """
        hidden = self._visual.forward_pre(pixels)  # [N, B, D]: the tower's own order
        blocks = self._visual.transformer.resblocks
        states: States = []
        for index, block in enumerate(blocks):
            hidden = block(hidden)
            if index >= len(blocks) - self._cross_layers:
                out = self._visual.forward_post(hidden)  # [B, N, D]
                states.append(self._project("image", len(states), out) + self._type(_IMAGE))
        return states

    def texts(self, ids: Tensor, mask: Tensor) -> States:
        """Run the text tower.

        Args:
            ids: `int64 [P, T]`.
            mask: what `attention_mask` returns for them.

        Returns:
            The states that the cross-modal layers read, `[P, T, D]` each.
        """
        hidden = self._model.text_model.embeddings(input_ids=ids)  # [P, T, D]
        layers = self._model.text_model.encoder.layer
        states: States = []
        for index, layer in enumerate(layers):
            hidden = layer(hidden, mask)
            if index >= len(layers) - self._cross_layers:
                states.append(self._project("text", len(states), hidden) + self._type(_TEXT))
        return states

    def pairs(self, images: States, owners: Tensor, texts: States, mask: Tensor) -> Tensor:
        """Run the cross-modal layers.

        Args:
            images: of B pictures.
            owners: `int64 [P]`, index of each text's picture, 0..B-1.
            texts: of P texts.
            mask: what `attention_mask` returns for the texts.

        Returns:
            `[P, 2]` logits: does not match, matches.
        """
        model = self._model
        image = text = None
        for index in range(self._cross_layers):
            image_in, text_in = images[index][owners], texts[index]  # [P, N, D], [P, T, D]
            if image is None or text is None:
                image = model.cross_modal_image_layernorm(image_in)
                text = model.cross_modal_text_layernorm(text_in)
            else:
                # The link towers are the bridges that give the model its name.
                image = model.cross_modal_image_link_tower[index - 1](image_in, image, None)
                text = model.cross_modal_text_link_tower[index - 1](text_in, text, mask)
            text, image = (
                model.cross_modal_text_layers[index](text, image, attention_mask=mask)[0],
                model.cross_modal_image_layers[index](image, text, encoder_attention_mask=mask)[0],
            )
        return self._head(model.get_cls_features(text, image))

    def _project(self, side: str, index: int, states: Tensor) -> Tensor:
        transform = getattr(self._model, f"cross_modal_{side}_transform")
        return (transform if self._shared else transform[index])(states)

    def _type(self, number: int) -> Tensor:
        return self._model.token_type_embeddings.weight[number]  # [D]


def attention_mask(present: Tensor) -> Tensor:
    """Return what eager attention adds to its logits: `float [P, 1, 1, T]`, 0 or very negative.

    Args:
        present: `bool [P, T]`, false where a text is padded.
    """
    mask = torch.zeros(present.shape, dtype=torch.float32, device=present.device)
    return mask.masked_fill(~present, torch.finfo(torch.float32).min)[:, None, None]
