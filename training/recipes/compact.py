"""Recipe of `compact`, the embedded default: decoder first, then end to end."""

from training.recipes.recipe import Augmentation, Recipe

RECIPE = Recipe(
    method="compact",
    min_word_count=4,
    epochs=11,
    batch_images=32,
    learning_rate=4e-4,
    trunk_learning_rate=4e-5,
    frozen_epochs=3,
    schedule="cosine",
    warmup=0.04,
    weight_decay=0.05,
    label_smoothing=0.1,
    augmentation=Augmentation(flip=0.5, min_crop=0.6, brightness=0.15, contrast=0.15),
)
