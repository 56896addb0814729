"""The BentoML model store, a real one in a temporary folder, through code and command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import models.api.metadata as metadata_module
from models.api.metadata import BrokenModelError, ModelMetadata
from models.captioners.cnn_transformer.network import CnnTransformer
from models.captioners.cnn_transformer.tokenizer import CaptionTokenizer

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys
from pathlib import Path
from models import store
directory = Path(sys.argv[1])
first = store.install(directory, "mine")
second = store.install(directory, "mine")
fixed = store.install(directory, "mine", "v1")
assert store.install(directory, "mine", "v1") == fixed
assert first.version != second.version and fixed.tag == "mine:v1"
assert store.find("mine:" + first.version) == first
assert {model.tag for model in store.list_models()} == {first.tag, second.tag, "mine:v1"}
assert {path.name for path in fixed.path.iterdir()} >= {path.name for path in directory.iterdir()}
again = store.install(fixed.path, "mine", "v3")  # an entry's files make an entry of its own
assert again.tag == "mine:v3" and store.find("mine:v3") == again
from models.registry import load_captioner
assert load_captioner(fixed.path).method == "compact"
try:
    store.find("nobody")
except store.ModelNotFoundError as error:
    assert "no model 'nobody'" in str(error)
else:
    raise SystemExit("found a model that is not there")
try:
    store.install(directory, "Not A Name!")
except ValueError as error:
    assert "Not A Name!" in str(error)
else:
    raise SystemExit("took a bad name")
def full(*files):
    raise OSError("No space left on device")
store.shutil.copy2 = full
try:
    store.install(directory, "mine", "v2")
except OSError:
    pass
assert "mine:v2" not in {model.tag for model in store.list_models()}
moved = store.install(directory, "moved", "v1", move=True)
assert not list(directory.iterdir()) and load_captioner(moved.path).method == "compact"
"""


@pytest.fixture
def directory(
    make_network: Callable[[str], CnnTransformer],
    tokenizer: CaptionTokenizer,
    metadata: ModelMetadata,
    tmp_path: Path,
) -> Path:
    folder = tmp_path / "model"
    make_network("compact").save_pretrained(folder)
    tokenizer.save(folder)
    metadata_module.write(folder, metadata)
    return folder


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_install_find_list_load(directory: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "home", "-c", SCRIPT, str(directory))
    assert done.returncode == 0, done.stderr


def test_command_line(directory: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    script = "import sys; from pathlib import Path; from models import store; "
    script += "store.install(Path(sys.argv[1]), 'mine', 'v1')"
    assert run(home, "-c", script, str(directory)).returncode == 0
    listed = run(home, "-m", "models", "list")
    assert listed.stdout.split("\t")[:2] == ["mine:v1", "compact"]
    shown = run(home, "-m", "models", "show", "mine")
    assert '"tag": "mine:v1"' in shown.stdout
    missing = run(home, "-m", "models", "show", "nobody")
    assert missing.returncode == 2
    assert "no model 'nobody'" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "method: Field required"),
        ('{"method": "compact", "preprocess": {"height": 1}}', "preprocess.height"),
    ],
)
def test_broken_metadata_says_where(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / metadata_module.FILE_NAME).write_text(content)
    with pytest.raises(BrokenModelError, match=message):
        metadata_module.read(tmp_path)
