"""Importing from a stand-in of the hub: what is fetched, what breaks, what is refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

import models.api.metadata as metadata_module
from models.api.options import CaptionOptions
from models.checkpoints.pretrained import ModelImportError
from models.hub.import_model import prepare
from models.hub.repository import HubModel
from models.registry import load_captioner
from tests.checkpoints import random_pictures, write_vit_gpt2
from tests.hub import Hub, Repository, running
from tests.server import ROOT, environment

NAME = "nlpconnect/vit-gpt2-image-captioning"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_vit_gpt2(tmp_path_factory.mktemp("checkpoint"))
    # What else lies in such repositories.
    (folder / "tf_model.h5").write_bytes(b"x" * 20_000)
    (folder / "train.py").write_text("raise SystemExit('ran code of a model')")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"x")
    return folder


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    # It hands on 10 MB at a time, and waits for seconds between its tries, as we do.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 10)
    hasty = SimpleNamespace(sleep=lambda seconds: None)
    for module in ("huggingface_hub.file_download", "huggingface_hub.utils._http"):
        monkeypatch.setattr(f"{module}.time", hasty)
    monkeypatch.setattr("models.hub.download.time", hasty)
    monkeypatch.setattr("models.hub.download.ATTEMPTS", 2)
    monkeypatch.setattr("models.store.imports_folder", lambda: tmp_path / "imports")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories[NAME] = Repository(checkpoint)
        yield hub


def test_only_what_is_needed_is_fetched_and_the_commit_recorded(
    hub: Hub, checkpoint: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    prepare(NAME, target)
    fetched = {name for name in hub.fetched() if "." in name}
    assert fetched == {
        "README.md",
        "config.json",
        "merges.txt",
        "preprocessor_config.json",
        "pytorch_model.bin",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    }
    assert hub.fetched().count("config.json") == 1
    metadata = metadata_module.read(target)
    sha = hub.repositories[NAME].sha("main")
    assert metadata.source == f"imported from {NAME}@{sha}"
    assert metadata.licence == "apache-2.0"
    assert metadata.method == "vit-gpt2"
    assert metadata.parameters > 10_000
    assert (target / "README.md").read_bytes() == (checkpoint / "README.md").read_bytes()
    captions = load_captioner(target).caption(random_pictures(2), CaptionOptions())
    assert captions[0][0].text != captions[1][0].text
    # Nothing is left to fill the disk.
    assert not HubModel.find(NAME).folder.exists()


def test_a_directory_gives_the_same_model(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    targets = [tmp_path / "one", tmp_path / "two"]
    for target, source in zip(targets, [NAME, str(checkpoint)], strict=True):
        target.mkdir()
        prepare(source, target)
    for path in targets[0].iterdir():
        if path.name != metadata_module.FILE_NAME:
            assert path.read_bytes() == (targets[1] / path.name).read_bytes(), path.name
    one, two = (metadata_module.read(target) for target in targets)
    assert two.source == f"imported from directory {checkpoint.name}"
    assert one.model_copy(update={"source": two.source}) == two


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_broken_connection_is_gone_on_with(hub: Hub, checkpoint: Path, how: str) -> None:
    hub.cuts = [(0.5, how), (0.5, how)]
    found = HubModel.find(NAME)
    path = found.fetch(["pytorch_model.bin"]) / "pytorch_model.bin"
    assert path.read_bytes() == (checkpoint / "pytorch_model.bin").read_bytes()
    ranges = [r for method, path, r in hub.asked if method == "GET" and path.startswith("/cdn")]
    assert ranges[0] is None
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in ranges[1:] if r]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1]


def test_a_second_run_goes_on_where_the_first_gave_up(hub: Hub, checkpoint: Path) -> None:
    hub.cuts = [(0.5, "close"), *[(0.0, "close")] * 20]
    found = HubModel.find(NAME)
    with pytest.raises(ModelImportError, match="gave up after 2 attempts without progress"):
        found.fetch(["pytorch_model.bin"])
    hub.cuts, hub.asked = [], []
    path = found.fetch(["pytorch_model.bin"]) / "pytorch_model.bin"
    assert path.read_bytes() == (checkpoint / "pytorch_model.bin").read_bytes()
    assert [r for method, _, r in hub.asked if method == "GET" and r]
    hub.asked = []
    assert found.fetch(["pytorch_model.bin"]) == path.parent
    assert hub.asked == []


def test_damaged_bytes_are_found_out(hub: Hub) -> None:
    hub.damage = True
    found = HubModel.find(NAME)
    with pytest.raises(ModelImportError, match=r"SHA-256 .* expected .*: damaged"):
        found.fetch(["pytorch_model.bin"])
    hub.damage = False
    # Nor is more than there can be gone on with.
    (found.folder / "pytorch_model.bin.part").write_bytes(b"x" * 10_000_000)
    assert (found.fetch(["pytorch_model.bin"]) / "pytorch_model.bin").is_file()


def test_what_huggingface_hub_has_is_not_fetched_again(
    hub: Hub, checkpoint: Path, tmp_path: Path
) -> None:
    found = HubModel.find(NAME)
    cache = tmp_path / "hf" / "hub" / f"models--{NAME.replace('/', '--')}" / "snapshots"
    (cache / found.sha).mkdir(parents=True)
    for path in checkpoint.iterdir():
        if path.is_file():
            (cache / found.sha / path.name).write_bytes(path.read_bytes())
    hub.asked = []
    folder = found.fetch(found.needed())
    assert (folder / "vocab.json").read_bytes() == (checkpoint / "vocab.json").read_bytes()
    assert hub.asked == []


def test_weights_that_huggingface_hub_has_are_not_fetched_for_want_of_a_card(
    hub: Hub, checkpoint: Path, tmp_path: Path
) -> None:
    found = HubModel.find(NAME)
    cache = tmp_path / "hf" / "hub" / f"models--{NAME.replace('/', '--')}" / "snapshots"
    (cache / found.sha).mkdir(parents=True)
    shutil.copy(checkpoint / "pytorch_model.bin", cache / found.sha)
    (tmp_path / "model").mkdir()
    prepare(NAME, tmp_path / "model")
    assert "pytorch_model.bin" not in hub.fetched()
    assert (cache / found.sha / "pytorch_model.bin").is_file()


def test_a_hub_that_falls_silent_is_said_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = HubModel.find(NAME)
    found.fetch(["config.json"])
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelImportError, match=r"README\.md cannot be fetched from http://127"):
        found.fetch(["README.md"])
    with pytest.raises(ModelImportError, match=r"model\.bin cannot be fetched from http://127"):
        found.fetch(["pytorch_model.bin"])


def test_a_machine_that_is_told_to_stay_offline_says_so(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelImportError, match="HF_HUB_OFFLINE"):
        prepare(NAME, tmp_path)
    assert hub.asked == []


def test_a_full_disk_is_said_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    found = HubModel.find(NAME)
    monkeypatch.setattr("models.hub.download.http_get", full)
    with pytest.raises(ModelImportError, match=r"model\.bin cannot be written: No space left"):
        found.fetch(["pytorch_model.bin"])


@pytest.mark.parametrize("parts", [1, 2])
def test_safetensors_are_taken_as_they_are(hub: Hub, tmp_path: Path, parts: int) -> None:
    source = write_vit_gpt2(tmp_path / "source", pickled=False)
    weights = [source / "model.safetensors"]
    if parts == 2:
        weights = split(weights[0])
    hub.repositories[NAME] = Repository(source)
    targets = [tmp_path / "one", tmp_path / "two"]
    for target, origin in zip(targets, [NAME, str(source)], strict=True):
        target.mkdir()
        prepare(origin, target)
        for path in weights:
            assert (target / path.name).read_bytes() == path.read_bytes()
            # Not the same file: what somebody does to his own must not reach the store's.
            assert (target / path.name).stat().st_nlink == 1
        assert load_captioner(target).caption(random_pictures(1), CaptionOptions())[0][0].text


def split(path: Path) -> list[Path]:
    """Turn a file of weights into two and an index; return the two."""
    tensors = load_file(path)
    path.unlink()
    names = sorted(tensors)
    parts, index = [], {}
    for number, half in enumerate((names[::2], names[1::2]), 1):
        part = path.with_name(f"model-{number:05}-of-00002.safetensors")
        save_file({name: tensors[name] for name in half}, part, {"format": "pt"})
        index.update(dict.fromkeys(half, part.name))
        parts.append(part)
    content = {"metadata": {}, "weight_map": index}
    path.with_name("model.safetensors.index.json").write_text(json.dumps(content))
    return parts


def test_a_revision_is_pinned(hub: Hub) -> None:
    sha = "a" * 40
    hub.repositories[NAME].revisions = {"v1": sha, sha: sha}
    assert HubModel.find(NAME, "v1").sha == sha
    assert HubModel.find(NAME, sha).sha == sha
    with pytest.raises(ModelImportError, match="has no revision 'v9'"):
        HubModel.find(NAME, "v9")


@pytest.mark.parametrize("sha", ["../../..", "main", ""])
def test_what_is_no_commit_becomes_no_folder(hub: Hub, sha: str) -> None:
    hub.repositories[NAME].revisions = {"main": sha}
    with pytest.raises(ModelImportError, match="names no commit of"):
        HubModel.find(NAME)


def test_gated_models_want_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[NAME].gated = True
    with pytest.raises(ModelImportError, match="is gated: accept its terms"):
        HubModel.find(NAME).fetch(["config.json"])
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    for file in ("config.json", "pytorch_model.bin"):
        assert (HubModel.find(NAME).fetch([file]) / file).is_file()
    # The token is the hub's; no other host gets to see it.
    assert hub.leaked == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nobody/nothing", "there is no model nobody/nothing on"),
        ("./no/such/folder", "is neither a directory nor a hub id"),
        ("a//b", "is neither a directory nor a hub id"),
        ("-", "is neither a directory nor a hub id"),
    ],
)
def test_what_is_not_there_is_said_so(hub: Hub, tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(ModelImportError, match=message):
        prepare(source, tmp_path)


def test_no_hub_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelImportError, match=r"cannot be fetched from http://127\.0\.0\.1:9"):
        prepare(NAME, tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "'LlamaForCausalLM' is none that can"),
        ({"architectures": ["X"], "auto_map": {}}, "no code of models is ever run"),
        (None, "has no config.json"),
    ],
)
def test_no_weights_are_fetched_of_what_is_no_captioner(
    hub: Hub, tmp_path: Path, config: dict[str, object] | None, message: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x" * 20_000)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    hub.repositories["some/model"] = Repository(folder)
    with pytest.raises(ModelImportError, match=message):
        prepare("some/model", tmp_path)
    assert "model.safetensors" not in hub.fetched()


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: other\nlicense_name: own-terms\n---\n", "own-terms"),
        ("---\nlicense: [mit, apache-2.0]\n---\n", "mit, apache-2.0"),
        ("---\nlicense: [\n---\n", ""),
        ("no header", ""),
        (None, ""),
    ],
)
def test_the_licence_is_what_the_card_says(
    checkpoint: Path, tmp_path: Path, card: str | None, licence: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    shutil.copytree(checkpoint, source)
    (source / "README.md").unlink()
    if card is not None:
        (source / "README.md").write_text(card)
    prepare(str(source), target)
    assert metadata_module.read(target).licence == licence


def test_a_directory_has_no_revision(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelImportError, match="it has no revision"):
        prepare(str(checkpoint), tmp_path, "main")


def surroundings(hub: Hub, folder: Path) -> dict[str, str]:
    """Return an environment in which the command leaves everything in `folder`."""
    (folder / "tmp").mkdir(parents=True)
    known = environment(folder / "bentoml")
    known.pop("HF_HUB_DISABLE_PROGRESS_BARS", None)  # as a server has it that a test has imported
    return {
        **known,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "TMPDIR": str(folder / "tmp"),
    }


def taken(folder: Path) -> int:
    """Return the bytes on disk of all that is in a folder; what has two names counts once."""
    sizes = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                about = (Path(place) / name).lstat()
                sizes[about.st_ino] = about.st_blocks * 512
    return sum(sizes.values())


@pytest.mark.long
def test_a_killed_import_goes_on_and_makes_one_copy(hub: Hub, tmp_path: Path) -> None:
    source = write_vit_gpt2(tmp_path / "source", pickled=False)
    weights = source / "model.safetensors"
    # What nobody asks for makes it large.
    large = {**load_file(weights), "ballast": torch.rand(12_000_000)}
    save_file(large, weights, {"format": "pt"})
    size = weights.stat().st_size
    hub.repositories[NAME] = Repository(source)
    home = tmp_path / "home"
    env = surroundings(hub, home)
    command = [sys.executable, "-m", "models", "import", NAME, "--as", "vit-gpt2"]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)

    hub.cuts = [(0.7, "stall")]
    killed = start()
    deadline = time.monotonic() + 120
    while taken(home) < size * 0.4 and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.kill()
    killed.communicate()

    hub.asked = []
    peak = 0
    done = start()
    while done.poll() is None:
        peak = max(peak, taken(home))
        time.sleep(0.005)
    assert done.returncode == 0, done.communicate()[1]
    (wanted,) = [r for method, path, r in hub.asked if method == "GET" and "/cdn/" in path]
    assert wanted is not None
    assert int(wanted.removeprefix("bytes=").rstrip("-")) >= size * 0.4
    assert size < peak < 1.1 * size
    (stored,) = (home / "bentoml" / "models" / "vit-gpt2").glob("*/model.safetensors")
    assert stored.read_bytes() == weights.read_bytes()
    assert list((home / "bentoml" / "captionbox" / "imports").iterdir()) == []


def test_the_command(hub: Hub, tmp_path: Path) -> None:
    # Bars, as on a terminal.
    env = {**surroundings(hub, tmp_path / "home"), "TQDM_POSITION": "-1"}
    hub.xet = True

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "models", *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    hub.cuts = [(0.3, "reset")]
    done = run("import", NAME, "--as", "vit-gpt2")
    assert done.returncode == 0, done.stderr
    assert "pytorch_model.bin: 100%" in done.stderr
    # Neither another protocol nor who is asking.
    assert not [path for _, path, _ in hub.asked if "xet" in path or "agent" in path]
    assert "serve it with CAPTIONBOX_MODELS=vit-gpt2" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("list").stdout.split("\t")[1] == "vit-gpt2"
    refused = run("import", "nobody/nothing", "--as", "other")
    assert refused.returncode == 2
    assert refused.stderr.startswith("there is no model nobody/nothing on")
    assert "Traceback" not in refused.stderr
