"""Recipe of TensorFlow's "Image captioning with visual attention" tutorial.

Vocabulary 5,000; Adam at a constant 1e-4; no augmentation; frozen trunk; early stopping after 5.
"""

from models.captioners.cnn_transformer.tf_tutorial import MAX_VOCABULARY
from training.recipes.recipe import Recipe

RECIPE = Recipe(
    method="tf-tutorial",
    max_vocabulary=MAX_VOCABULARY,
    max_caption_tokens=50,
    epochs=30,
    batch_images=32,
    learning_rate=1e-4,
    trunk_learning_rate=0.0,
    schedule="constant",
    warmup=0.0,
    weight_decay=0.0,
    beta2=0.999,
    early_stopping=5,
)
