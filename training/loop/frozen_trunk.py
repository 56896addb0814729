"""Has a trunk that stands still encode the training pictures once, before the first step."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from models.captioners.cnn_transformer.network import CnnTransformer
from models.layers.network_protocol import TrainableNetwork
from training.data.dataset import CaptionDataset
from training.data.feature_cache import FeatureCache
from training.data.machine import is_main, of_main
from training.loop.hardware import Hardware, exact_float32
from training.recipes.recipe import Recipe, RecipeError

logger = logging.getLogger(__name__)


def network_that_keeps_its_trunk(network: TrainableNetwork, recipe: Recipe) -> CnnTransformer:
    """Return the network, if its trunk makes the same of a picture in every pass.

    Raises:
        RecipeError: the trunk learns, or is no part of its own.
    """
    if not isinstance(network, CnnTransformer):
        raise RecipeError(f"feature_views: {recipe.method} has no trunk whose features can be kept")
    if recipe.trunk_learning_rate > 0 and not network.config.freeze_backbone:
        raise RecipeError(
            "feature_views: the trunk learns, so its features change; "
            "trunk_learning_rate=0 keeps it still"
        )
    return network


class EncodeOnce(TrainerCallback):
    """Fills the cache of trunk features when training begins and has the data set show them.

    Not before: a resumed run reads its trunk from a checkpoint only then.

    Args:
        network: the trunk of which does not learn.
        dataset: shows the features from then on.
        recipe: says how many views there are.
        folder: of the cache.
        hardware: what computes the features.
    """

    def __init__(
        self,
        network: CnnTransformer,
        dataset: CaptionDataset,
        recipe: Recipe,
        folder: Path,
        hardware: Hardware,
    ) -> None:
        self.network, self.dataset, self.recipe = network, dataset, recipe
        self.folder, self.hardware = folder, hardware

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Encode what is missing, in the first process; the others wait."""
        rows, columns = self.network.grid
        channels: Any = self.network.trunk.out_channels
        recipe = self.recipe
        cache = FeatureCache(
            self.folder,
            self.dataset.images,
            recipe.feature_views,
            (rows * columns, channels),
            {
                "backbone": self.network.config.backbone,
                "trunk_sha256": weights_hash(self.network.trunk),
                "preprocess": self.dataset.reader.preprocess.model_dump(mode="json"),
                "augmentation": recipe.augmentation.model_dump(mode="json"),
                "seed": recipe.seed,
            },
        )
        if is_main():
            encode_missing(self.network, self.dataset, cache, self.hardware)
        of_main(None)
        self.dataset.features = cache


def encode_missing(
    network: CnnTransformer, dataset: CaptionDataset, cache: FeatureCache, hardware: Hardware
) -> None:
    """Put into the cache what it lacks; pictures that cannot be read stay out and are named."""
    places = [(view, picture) for view in range(cache.views) for picture in cache.missing(view)]
    logger.info("%s: %d views of pictures to encode", cache.folder.name, len(places))
    trained = network.training
    network.eval()
    size = hardware.validation_batch
    batches = [places[start : start + size] for start in range(0, len(places), size)]
    bar = {"desc": "encoding", "unit": "batch", "disable": None if is_main() else True}
    with torch.no_grad(), exact_float32(), ThreadPoolExecutor(max(1, hardware.workers)) as pool:

        def read() -> Iterator[tuple[list[tuple[int, int]], Any]]:
            for batch in batches:
                pixels = list(pool.map(lambda place: dataset.view(place[1], place[0]), batch))
                found = [
                    (place, content)
                    for place, content in zip(batch, pixels, strict=True)
                    if content is not None
                ]
                if found:
                    yield [place for place, _ in found], np.stack([one for _, one in found])

        for batch, stacked in tqdm(read(), total=len(batches), **bar):
            pixels = torch.from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)))
            features = network.image_features(pixels.to(network.device)).half().cpu().numpy()
            for (view, picture), one in zip(batch, features, strict=True):
                cache.put(picture, view, one)
    network.train(trained)


def weights_hash(module: nn.Module) -> str:
    """Return a hash of a module's weights, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
