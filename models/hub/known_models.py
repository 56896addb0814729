"""The hub's captioners by name: what each is, its licence, its size, what has been said of it.

`python -m models known` lists them and `make serve MODEL=NAME` fetches and serves one. No torch and
no hub library here: the server tells of a served model what stands in this table.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Terms = Literal["open", "gated", "non-commercial"]
"""Who may have and use the weights: `open` to everyone who keeps to the licence, `gated` until its
terms are accepted on the hub, `non-commercial` to whoever earns nothing with them."""

IMPORTED_FROM = "imported from "
"""How the `source` of an imported model begins; then come the hub's id, `@` and the commit."""

_COMMIT_LENGTH = 40


class KnownModel(BaseModel):
    """A model of the hub that can be had by name."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(description="Name to fetch and serve it by.")]
    hub_id: Annotated[str, Field(description="Its repository on the hub.")]
    revision: Annotated[
        str,
        Field(
            description="Commit that is fetched; `main` where none is on record. Which one came is "
            "in the `source` of the imported model."
        ),
    ] = "main"
    kind: Annotated[
        Literal["captioner", "matcher"],
        Field(description="Whether it writes captions or ranks texts."),
    ] = "captioner"
    licence: Annotated[str, Field(description="Of the weights, as the hub names it.")]
    terms: Annotated[
        Terms,
        Field(
            description="`open`; `gated`: terms must be accepted on the hub first; "
            "`non-commercial`: not for business."
        ),
    ] = "open"
    parameters: Annotated[int, Field(description="Number of weights, in millions.")]
    download_mb: Annotated[
        int | None, Field(description="Size of the weights' file in MB; null where unknown.")
    ] = None
    good_at: Annotated[str, Field(description="What it is good at, in a few words.")]
    cider: Annotated[
        float | None,
        Field(
            description="CIDEr on COCO's Karpathy test split, times 100, as its authors published "
            "it; null where they have not."
        ),
    ] = None
    cider_source: Annotated[str, Field(description="Where that was published.")] = ""
    verified: Annotated[
        str,
        Field(
            description="Who has run `python -m models verify` on the published weights, and when; "
            "empty where nobody has yet."
        ),
    ] = ""
    aliases: Annotated[
        tuple[str, ...], Field(description="Other names that it can be fetched and served by.")
    ] = ()

    @property
    def pinned(self) -> bool:
        """Whether the very commit that is fetched is on record."""
        return len(self.revision) == _COMMIT_LENGTH

    def memory_mb(self, bytes_a_weight: int = 4) -> int:
        """Return what the weights take in memory, in MB; float32 by default."""
        return self.parameters * bytes_a_weight


_BLIP = "Li et al. 2022, BLIP"
_FLORENCE = "Xiao et al. 2024, Florence-2"

KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        name="florence-2-base-ft",
        aliases=("florence-2",),
        hub_id="florence-community/Florence-2-base-ft",
        revision="0b03b6f15a4a211370fb204aee4e7dd48887ea37",
        licence="mit",
        parameters=232,
        good_at="captions short and detailed (tasks as prompts) from a small network",
        cider=140.0,
        cider_source=_FLORENCE,
    ),
    KnownModel(
        name="florence-2-base",
        hub_id="florence-community/Florence-2-base",
        licence="mit",
        parameters=232,
        good_at="as florence-2-base-ft, before it was fitted to public data sets",
        cider=133.0,
        cider_source=f"{_FLORENCE}, zero-shot",
    ),
    KnownModel(
        name="florence-2-large-ft",
        hub_id="florence-community/Florence-2-large-ft",
        licence="mit",
        parameters=771,
        good_at="the best sentences of those below a billion weights",
        cider=143.3,
        cider_source=_FLORENCE,
    ),
    KnownModel(
        name="blip-base",
        aliases=("blip",),
        hub_id="Salesforce/blip-image-captioning-base",
        revision="82a37760796d32b1411fe092ab5d4e227313294b",
        licence="bsd-3-clause",
        parameters=224,
        download_mb=990,
        good_at="one plain sentence; continues the beginning of a caption",
        cider=133.3,
        cider_source=_BLIP,
    ),
    KnownModel(
        name="blip-large",
        hub_id="Salesforce/blip-image-captioning-large",
        revision="353689b859fcf0523410b1806dace5fb46ecdf41",
        licence="bsd-3-clause",
        parameters=446,
        download_mb=1880,
        good_at="one fuller sentence; continues the beginning of a caption",
        cider=136.7,
        cider_source=_BLIP,
    ),
    KnownModel(
        name="git-base-coco",
        aliases=("git",),
        hub_id="microsoft/git-base-coco",
        revision="a13141da42abd4a8cbf283601a8104265f537cee",
        licence="mit",
        parameters=177,
        download_mb=707,
        good_at="one plain sentence from the smallest network here",
        cider=131.4,
        cider_source="Wang et al. 2022, GIT",
    ),
    KnownModel(
        name="vit-gpt2",
        hub_id="nlpconnect/vit-gpt2-image-captioning",
        revision="dc68f91c06a1ba6f15268e5b9c13ae7a7c514084",
        licence="apache-2.0",
        parameters=239,
        download_mb=982,
        good_at="one plain sentence, fast: int8 and OpenVINO; shows where it looked",
    ),
    KnownModel(
        name="smolvlm-256m",
        hub_id="HuggingFaceTB/SmolVLM-256M-Instruct",
        revision="7e3e67edbbed1bf9888184d9df282b700a323964",
        licence="apache-2.0",
        parameters=256,
        download_mb=513,
        good_at="answers to prompts from the smallest chat model",
    ),
    KnownModel(
        name="smolvlm-500m",
        aliases=("smolvlm",),
        hub_id="HuggingFaceTB/SmolVLM-500M-Instruct",
        revision="a7da5b986cb59b408707209984f360a5f4ad7e47",
        licence="apache-2.0",
        parameters=507,
        download_mb=1015,
        good_at="answers to prompts, surer than the smallest",
    ),
    KnownModel(
        name="qwen2-vl-2b",
        hub_id="Qwen/Qwen2-VL-2B-Instruct",
        revision="895c3a49bc3fa70a340399125c650a463535e71c",
        licence="apache-2.0",
        parameters=2209,
        download_mb=4420,
        good_at="prompts in many languages, text in pictures; wants a GPU",
    ),
    KnownModel(
        name="qwen2.5-vl-3b",
        hub_id="Qwen/Qwen2.5-VL-3B-Instruct",
        revision="66285546d2b821cf421d4f5eb2576359d3770cd3",
        licence="qwen-research",
        terms="non-commercial",
        parameters=3755,
        download_mb=7510,
        good_at="long answers, prompts in many languages, text in pictures; wants a GPU",
    ),
    KnownModel(
        name="paligemma-3b-mix",
        hub_id="google/paligemma-3b-mix-224",
        licence="gemma",
        terms="gated",
        parameters=2923,
        good_at="short captions in many languages (`caption es`); wants a GPU",
    ),
    KnownModel(
        name="bridgetower",
        hub_id="BridgeTower/bridgetower-base-itm-mlm",
        kind="matcher",
        licence="mit",
        parameters=333,
        good_at="ranks texts for a picture, puts captions in a better order",
    ),
)
"""Every known model, captioners by family. The embedded `compact` needs no fetching."""


def find_known(name: str) -> KnownModel | None:
    """Return the model of a name or alias, or None."""
    for model in KNOWN_MODELS:
        if name == model.name or name in model.aliases:
            return model
    return None


def known_by_source(source: str) -> KnownModel | None:
    """Return the model that an imported one's `source` tells of, or None."""
    for model in KNOWN_MODELS:
        if source.startswith(f"{IMPORTED_FROM}{model.hub_id}@"):
            return model
    return None
