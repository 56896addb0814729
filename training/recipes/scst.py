"""Recipe of self-critical training, on top of any run of a CNN + transformer method.

The trunk stands still: rewards are too noisy for it, and its activations need no gradient then.
Rolled out by beam search, with the mean of the beams as the baseline (Cornia et al. 2020): drawn
captions of a model trained with label smoothing are so far from what it serves that reinforcing
the best of them sharpens the distribution but makes the served captions worse (training/README.md
has both numbers).
"""

from training.recipes.recipe import Augmentation, Recipe

RECIPE = Recipe(
    method="compact",
    epochs=2,
    batch_images=32,
    captions_per_image=5,
    max_caption_tokens=22,
    learning_rate=2e-5,
    trunk_learning_rate=0.0,
    schedule="cosine",
    warmup=0.03,
    weight_decay=0.0,
    rollout="beam",
    baseline="others",
    average=0.99,
    augmentation=Augmentation(flip=0.5, min_crop=0.8),
)
