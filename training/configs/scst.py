"""Recipe of self-critical training, on top of any run of a CNN + transformer method.

The trunk stands still: rewards are too noisy for it, and its activations need no gradient then.
"""

from training.recipe import Augmentation, Recipe

RECIPE = Recipe(
    method="compact",
    epochs=5,
    batch_images=32,
    captions_per_image=5,
    learning_rate=5e-5,
    trunk_learning_rate=0.0,
    schedule="cosine",
    warmup=0.02,
    weight_decay=0.0,
    augmentation=Augmentation(flip=0.5, min_crop=0.8),
)
