"""Tiny networks of the true architectures with random weights, in the layout of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.smolvlm.processing_smolvlm import (
    DEFAULT_CHAT_TEMPLATE as SMOLVLM_TEMPLATE,
)

from models import metadata as metadata_module
from models.catalogue import METHODS, load_object
from models.families.family import Family
from models.importing import read_json, recognise
from models.network_decoding import Prefill

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
}
WORDS = (
    "a an the dog cat man woman child bird runs sits stands jumps on in under near green red blue "
    "grass ball hat tree street water picture of image photo with and two three what is there ? "
    ": . ,"
).split()
PIECES = [f"##{piece}" for piece in ("s", "ing", "ed", "er", "y")]


def spread(network: PreTrainedModel, factor: float = 4.0, seed: int = 0) -> None:
    """Redraw all weights, so that captions vary with the picture and are not all alike."""
    generator = torch.Generator().manual_seed(seed)
    for name, weights in network.named_parameters():
        if weights.ndim > 1:
            width = weights[0].numel() if "embed" not in name else weights.shape[-1]
            scale = factor / width**0.5 if "embed" not in name else 1.0
            weights.data = torch.randn(weights.shape, generator=generator) * scale
        elif "bias" in name or "norm" not in name.lower():
            weights.data = torch.randn(weights.shape, generator=generator) * 0.3
    network.tie_weights()


def _save(
    network: PreTrainedModel,
    directory: Path,
    preprocessor: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    factor: float = 4.0,
) -> None:
    with torch.no_grad():
        spread(network, factor)
    tokenizer.save_pretrained(directory)
    network.save_pretrained(directory)
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps(preprocessor), encoding="utf-8")


def bert_tokenizer(extra: tuple[str, ...] = ()) -> BertTokenizer:
    """Return a word-piece tokenizer: markers first, as in BERT, then words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PIECES]
    tokenizer = BertTokenizer({word: index for index, word in enumerate(words)})
    if extra:
        tokenizer.add_special_tokens({"additional_special_tokens": list(extra)})
    return tokenizer


def make_blip(directory: Path) -> None:
    """BLIP: ViT of two layers, text decoder of two."""
    tokenizer = bert_tokenizer(("[DEC]", "[ENC]"))
    config = BlipConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 96,
            "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
            "sep_token_id": tokenizer.sep_token_id,
            "eos_token_id": 4,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
    )
    preprocessor = {"size": {"height": 32, "width": 32}, "do_resize": True, **CLIP}
    _save(BlipForConditionalGeneration(config), directory, preprocessor, tokenizer)


def make_git(directory: Path) -> None:
    """GIT: CLIP's ViT of two layers, decoder of two."""
    tokenizer = bert_tokenizer()
    config = GitConfig(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=0,
    )
    preprocessor = {
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        **CLIP,
    }
    _save(GitForCausalLM(config), directory, preprocessor, tokenizer)


def byte_tokenizer(markers: Sequence[str], **special: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that knows some words whole, as BART's and Llama 3's are."""
    # Without the bytes that are no ASCII characters: captions stay legible.
    alphabet = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        built = "Ġ"
        for letter in word:
            if (built, letter) not in merges:
                merges.append((built, letter))
            built += letter
    vocabulary = dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)])
    tokens = [*markers, *vocabulary]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, additional_special_tokens=list(markers), **special
    )


def make_florence2(directory: Path) -> None:
    """Florence-2: DaViT of four stages, BART of two layers each way."""
    tokenizer = byte_tokenizer(
        ("<s>", "<pad>", "</s>", "<unk>", "<image>", "<loc_0>"),
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    config = Florence2Config(
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [8, 16, 24, 32],
            "num_heads": [2, 2, 2, 2],
            "num_groups": [2, 2, 2, 2],
            "window_size": 4,
            "projection_dim": 32,
        },
        text_config={
            "model_type": "bart",
            "vocab_size": len(tokenizer),
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "max_position_embeddings": 160,
            "bos_token_id": 0,
            "pad_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
        },
        image_token_id=4,
    )
    network = Florence2ForConditionalGeneration(config)
    network.generation_config = GenerationConfig(
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_bos_token_id=0,
        num_beams=3,
    )
    preprocessor = {
        "size": {"height": 64, "width": 64},
        "do_center_crop": False,
        "crop_size": {"height": 64, "width": 64},
        "image_seq_length": 5,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
    }
    # Its four stages of convolutions would amplify rounding errors.
    _save(network, directory, preprocessor, tokenizer, factor=2.0)


def florence2_reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = CLIPImageProcessorPil(
        size={"height": 64, "width": 64},
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    images.image_seq_length = 5
    family.tokenizer.image_token, family.tokenizer.image_token_id = "<image>", 4
    processor = Florence2Processor(images, family.tokenizer)
    inputs = processor(pictures, text=[prompt] * len(pictures), return_tensors="pt")
    # One more: the forced start counts as new.
    options["max_new_tokens"] += 1
    options["no_repeat_ngram_size"] = 3
    return family.network.generate(**inputs, **options, do_sample=False)[:, 2:]


def _make_idefics3(directory: Path, config_class: Any, network_class: Any) -> None:
    markers = ("<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>")
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = byte_tokenizer(
        (*markers, "<image>", "<|endoftext|>", *rows),
        bos_token="<|im_start|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    config = config_class(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 192,
            "bos_token_id": 0,
            "eos_token_id": 5,
            "pad_token_id": 5,
        },
        image_token_id=4,
        scale_factor=2,
        tie_word_embeddings=True,
    )
    network = network_class(config)
    network.generation_config = GenerationConfig(
        bos_token_id=0, eos_token_id=[5, 1], pad_token_id=5
    )
    preprocessor = {
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
        "do_image_splitting": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "resample": 1,
    }
    _save(network, directory, preprocessor, tokenizer)


def make_idefics3(directory: Path) -> None:
    """Idefics3: SigLIP of two layers, Llama of two."""
    _make_idefics3(directory, Idefics3Config, Idefics3ForConditionalGeneration)


def make_smolvlm(directory: Path) -> None:
    """SmolVLM: the same."""
    _make_idefics3(directory, SmolVLMConfig, SmolVLMForConditionalGeneration)
    # As older checkpoints keep it.
    template = SMOLVLM_TEMPLATE.replace("Assistant:", "Assistant: ")
    (directory / "chat_template.json").write_text(json.dumps({"chat_template": template}))


def idefics3_reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, family.tokenizer, image_seq_len=4)
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    chat = family.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=family.tokenizer.chat_template or SMOLVLM_TEMPLATE,
        add_generation_prompt=True,
        tokenize=False,
    )
    inputs = processor(
        images=[[picture] for picture in pictures],
        text=[chat] * len(pictures),
        add_special_tokens=False,
        return_tensors="pt",
    )
    inputs.pop("mm_token_type_ids", None)
    read = inputs["input_ids"].shape[1]
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]


Reference = Callable[..., torch.Tensor]
"""Family, pictures, prompt and options of `generate()` to the tokens it writes, int64 `[B, T]`,
by transformers' own processor."""


def blip_reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    processor = BlipProcessor(
        BlipImageProcessorPil(size={"height": 32, "width": 32}), family.tokenizer
    )
    inputs = processor(
        pictures, text=[prompt] * len(pictures) if prompt else None, return_tensors="pt"
    )
    read = inputs["input_ids"].shape[1] - 1 if prompt else 1
    return family.network.generate(**inputs, **options, do_sample=False)[:, read:]


def git_reference(
    family: Family, pictures: list[Image.Image], prompt: str | None, **options: Any
) -> torch.Tensor:
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    inputs = GitProcessor(images, family.tokenizer)(pictures, return_tensors="pt")
    ids = [family.tokenizer.cls_token_id]
    if prompt:
        ids += family.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    inputs["input_ids"] = torch.tensor([ids] * len(pictures))
    return family.network.generate(**inputs, **options, do_sample=False)[:, len(ids) :]


def extended(family: Family, prefill: Prefill, tokens: torch.Tensor) -> dict[str, Any]:
    """Return the inputs of a pass over prompt and caption at once; `tokens` is int64 `[1, T]`."""
    inputs = dict(prefill.inputs)
    inputs[family.ids_name] = torch.cat((inputs[family.ids_name], tokens), 1)
    return inputs


def import_tiny(source: Path, target: Path) -> None:
    """Convert a hub model that is known to be one of these families."""
    method = METHODS[recognise(read_json(source / "config.json"))]
    metadata_module.write(target, load_object(method.converter)(source, target))


REFERENCES: dict[str, Reference] = {
    "blip": blip_reference,
    "git": git_reference,
    "florence2": florence2_reference,
    "idefics3": idefics3_reference,
    "smolvlm": idefics3_reference,
}
"""Name of a family to its reference."""

MAKERS: dict[str, Callable[[Path], None]] = {
    "blip": make_blip,
    "git": make_git,
    "florence2": make_florence2,
    "idefics3": make_idefics3,
    "smolvlm": make_smolvlm,
}
"""Name of a family to the function that writes a tiny hub model of it."""
