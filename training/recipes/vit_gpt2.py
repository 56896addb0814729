"""Recipe that fine-tunes a ViT + GPT-2 captioner, such as nlpconnect/vit-gpt2-image-captioning.

Needs `--init MODEL`. `--set trunk_learning_rate=0` freezes the ViT, `--set
decoder_learns=cross-attention` all of GPT-2 but its cross-attention.
"""

from training.recipes.recipe import Augmentation, Recipe

RECIPE = Recipe(
    method="vit-gpt2",
    max_caption_tokens=31,
    epochs=3,
    batch_images=16,
    learning_rate=5e-5,
    trunk_learning_rate=1e-5,
    schedule="cosine",
    warmup=0.05,
    weight_decay=0.01,
    beta2=0.999,
    augmentation=Augmentation(flip=0.5, min_crop=0.8),
    early_stopping=2,
)
