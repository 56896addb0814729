"""Recipe of Keras' "Image captioning" example.

Vocabulary 10,000; length 25; Adam warmed up to 1e-4 over 1/15 of the steps; flip, rotation by up to
0.2 turns, contrast by up to 0.3; frozen trunk; early stopping after 3.
"""

from models.captioners.cnn_transformer.keras_example import MAX_VOCABULARY
from training.recipes.recipe import Augmentation, Recipe

RECIPE = Recipe(
    method="keras-example",
    max_vocabulary=MAX_VOCABULARY,
    max_caption_tokens=25,
    epochs=30,
    batch_images=64,
    learning_rate=1e-4,
    trunk_learning_rate=0.0,
    schedule="constant",
    warmup=1 / 15,
    weight_decay=0.0,
    beta2=0.999,
    augmentation=Augmentation(flip=0.5, rotate=0.2, contrast=0.3),
    early_stopping=3,
)
