"""The hub's captioners by name: what is on record of them, and how they come into the store."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import torch
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BridgeTowerConfig,
    BridgeTowerForImageAndTextRetrieval,
    GitConfig,
    GitForCausalLM,
    GPT2Config,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)

from models import store
from models.checkpoints.pretrained import HubUnreachableError, ModelImportError
from models.hub.known_models import KNOWN_MODELS, KnownModel, find_known, known_by_source
from models.hub.provide import provide
from models.store import ModelNotFoundError, check_name
from tests.asking import PICTURE
from tests.hub import Hub, Repository, running
from tests.making import MadeServer
from tests.models.captioners.vlm.families import MAKERS
from tests.server import ROOT, environment

ASKED_FOR = (
    "florence-2 florence-2-base florence-2-base-ft florence-2-large-ft blip-base blip-large "
    "git-base-coco vit-gpt2 smolvlm-256m smolvlm-500m qwen2.5-vl-3b bridgetower"
).split()


def test_the_captioners_that_people_choose_are_known() -> None:
    assert all(find_known(name) for name in ASKED_FOR)
    assert find_known("florence-2") is find_known("florence-2-base-ft")
    assert find_known("compact") is None


def test_names_are_names_of_one_model_each() -> None:
    names = [name for model in KNOWN_MODELS for name in (model.name, *model.aliases)]
    assert len(set(names)) == len(names)
    assert len({model.hub_id for model in KNOWN_MODELS}) == len(KNOWN_MODELS)
    for name in names:
        check_name(name)


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.name)
def test_what_is_on_record_is_whole(model: KnownModel) -> None:
    assert model.revision == "main" or re.fullmatch(r"[0-9a-f]{40}", model.revision)
    assert model.pinned == (model.revision != "main")
    assert model.licence and model.good_at
    assert (model.cider is None) == (not model.cider_source)
    if model.download_mb:
        # Two or four bytes a weight, and some files have those that are shared twice.
        assert 1.95 < model.download_mb / model.parameters < 4.5
    assert known_by_source(f"imported from {model.hub_id}@{'a' * 40}") is model


def test_other_sources_are_not_taken_for_known_ones() -> None:
    for source in ("", "imported from directory blip", "imported from Salesforce/other@1"):
        assert known_by_source(source) is None


def test_restricted_weights_are_marked() -> None:
    terms = {model.name: model.terms for model in KNOWN_MODELS}
    assert terms["qwen2.5-vl-3b"] == "non-commercial"
    assert terms["paligemma-3b-mix"] == "gated"
    for model in KNOWN_MODELS:
        permissive = model.licence in ("mit", "apache-2.0", "bsd-3-clause")
        assert permissive == (model.terms == "open")


def _vit_gpt2() -> VisionEncoderDecoderModel:
    decoder = GPT2Config(add_cross_attention=True, is_decoder=True)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(), decoder)
    return VisionEncoderDecoderModel(config)


def _blip_large() -> BlipForConditionalGeneration:
    vision = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    }
    text = {"encoder_hidden_size": 1024}
    return BlipForConditionalGeneration(BlipConfig(vision_config=vision, text_config=text))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("blip-base", lambda: BlipForConditionalGeneration(BlipConfig())),
        ("blip-large", _blip_large),
        ("git-base-coco", lambda: GitForCausalLM(GitConfig())),
        ("vit-gpt2", _vit_gpt2),
        ("bridgetower", lambda: BridgeTowerForImageAndTextRetrieval(BridgeTowerConfig())),
    ],
)
def test_the_number_of_weights_is_that_of_the_architecture(name: str, make: Any) -> None:
    with torch.device("meta"):
        weights = sum(weights.numel() for weights in make().parameters())
    known = find_known(name)
    assert known is not None
    assert weights / 1e6 == pytest.approx(known.parameters, rel=0.02)


# --- provide -------------------------------------------------------------------------------------


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of what is in the store."""
    names = {"compact", "mine"}

    def find(name: str) -> Any:
        if name.split(":")[0] not in names:
            raise ModelNotFoundError(f"no model {name!r}")
        return SimpleNamespace(name=name)

    monkeypatch.setattr(store, "find", find)
    return names


def test_only_what_is_not_there_is_fetched(there: set[str]) -> None:
    fetched = []

    def fetch(known: KnownModel, name: str) -> Any:
        fetched.append((known.hub_id, name))
        return SimpleNamespace(name=name)

    found = provide(["mine", "florence-2", "compact:1"], fetch)
    assert [model.name for model in found] == ["mine", "florence-2", "compact:1"]
    assert fetched == [("florence-community/Florence-2-base-ft", "florence-2")]


def test_what_nobody_knows_is_said_with_what_is_known(there: set[str]) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model 'florenz'.*known by name are florence"):
        provide(["compact", "florenz"], lambda known, name: pytest.fail("fetched"))


def test_without_the_hub_compact_is_served_only_if_asked_for(
    there: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fetch(known: KnownModel, name: str) -> Any:
        raise HubUnreachableError(f"{known.hub_id} cannot be fetched")

    with pytest.raises(HubUnreachableError, match="`make serve` without MODEL serves the embedded"):
        provide(["mine", "blip"], fetch)
    assert [model.name for model in provide(["blip", "compact"], fetch)] == ["compact"]
    assert "blip is left out: Salesforce/blip-image-captioning-base cannot be" in caplog.text


def test_a_refusal_is_no_silence_of_the_hub(there: set[str]) -> None:
    def fetch(known: KnownModel, name: str) -> Any:
        raise ModelImportError(f"{known.hub_id} is gated")

    with pytest.raises(ModelImportError, match="is gated"):
        provide(["paligemma-3b-mix", "compact"], fetch)


# --- the commands, against the stand-in of the hub -----------------------------------------------


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Return a hub that has a tiny Florence-2 at the commit on record."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    MAKERS["florence2"](checkpoint)
    known = find_known("florence-2")
    assert known is not None
    with running() as hub:
        revisions = {known.revision: known.revision}
        hub.repositories[known.hub_id] = Repository(checkpoint, revisions=revisions)
        yield hub


def _variables(hub: Hub, folder: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf")}


def test_known_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from models.__main__ import main

    assert main(["known"]) == 0
    shown = capsys.readouterr().out
    assert "florence-2-base-ft, florence-2\n" in shown and "qwen-research, non-commercial" in shown
    assert main(["known", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [KnownModel.model_validate(one) for one in listed] == list(KNOWN_MODELS)
    assert main(["import", "some/model"]) == 2


def test_ensure_breaks_off_goes_on_and_needs_no_hub_afterwards(hub: Hub, tmp_path: Path) -> None:
    env = {**environment(tmp_path / "bentoml"), **_variables(hub, tmp_path)}

    def ensure(*names: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "models", "ensure", *names],
            cwd=ROOT,
            env={**env, **variables},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    refused = ensure("florence-2", **away)
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr.splitlines()[-1].endswith("serves the embedded 'compact'")
    assert "Traceback" not in refused.stderr

    hub.cuts = [(0.4, "reset")]
    done = ensure(CAPTIONBOX_MODELS="florence-2, compact")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "CAPTIONBOX_MODELS=florence-2,compact\n"
    assert "licence mit" in done.stderr
    assert [r for method, path, r in hub.asked if method == "GET" and "/cdn/" in path][1:]

    again = ensure("florence-2", **away)
    assert again.stdout == "CAPTIONBOX_MODELS=florence-2\n", again.stderr


@pytest.mark.long
def test_make_serve_fetches_and_serves_a_model_by_name(hub: Hub, tmp_path: Path) -> None:
    home = tmp_path / "bentoml"
    server = MadeServer(home, tmp_path / "server.log", made_with=["MODEL=florence-2"])
    server.variables = _variables(hub, tmp_path)
    try:
        server.start()
        (model,) = httpx.get(f"{server.url}/v1/models").json()["data"]
        assert model["id"] == "florence-2" and model["licence"] == "mit"
        assert model["source"].endswith("0b03b6f15a4a211370fb204aee4e7dd48887ea37")
        assert model["known"]["name"] == "florence-2-base-ft"
        assert model["weights_bytes"] > 10_000
        answer = httpx.post(f"{server.url}/caption", files={"image": PICTURE}, timeout=60)
        assert answer.json()["captions"], answer.text
    finally:
        server.stop()
