"""`vit-gpt2` on real OpenVINO: the tokens and scores of torch, narrow formats, refusals, choice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import DeiTConfig, GPT2Config, SwinConfig, VisionEncoderDecoderConfig

import models.api.metadata as metadata_module
from models import choose
from models.api.captioner import Captioner
from models.api.device import BackendError, Precision, has_openvino
from models.api.measured import Conditions, Measured
from models.api.metadata import BrokenModelError
from models.api.options import CaptionOptions
from models.api.preprocessing import PreprocessSpec
from models.captioners import on_openvino
from models.captioners.on_openvino import OpenVinoCaptioner
from models.captioners.on_torch import TorchCaptioner
from models.captioners.vit_gpt2.captioner import VitGpt2Captioner
from models.captioners.vit_gpt2.graphs import parts
from models.captioners.vit_gpt2.network import VitGpt2
from models.decoding.protocol import Floats
from models.registry import load_captioner
from models.runtimes.openvino import export as openvino_export
from models.runtimes.openvino.decoder import OpenVinoDecoder
from models.runtimes.openvino.files import WEIGHTS, GraphsInfo
from models.runtimes.openvino.graphs import write_graphs
from models.runtimes.pictures import Pixels, draw_pictures, read_pictures
from models.store import content_version
from tests.checkpoints import OTHER_ENCODERS, random_pictures
from tests.formats import needs

ROOT = Path(__file__).resolve().parents[4]

pytestmark = pytest.mark.skipif(
    not has_openvino(), reason="no OpenVINO: pip install -r requirements.lock"
)


@pytest.fixture(scope="module")
def directory(vit_gpt2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small `vit-gpt2` with graphs in every format."""
    target = tmp_path_factory.mktemp("graphs") / "model"
    shutil.copytree(vit_gpt2, target)
    network = VitGpt2Captioner.load_trainable(target).network
    images = random_pictures(16)
    openvino_export.export(network, parts(network), target, WEIGHTS, images)
    return target


def load(directory: Path, precision: Precision = "fp32") -> OpenVinoCaptioner:
    found = load_captioner(directory, precision, "openvino")
    assert isinstance(found, OpenVinoCaptioner)
    return found


@pytest.fixture(scope="module")
def captioner(directory: Path) -> OpenVinoCaptioner:
    return load(directory)


@pytest.fixture(scope="module")
def reference(directory: Path) -> TorchCaptioner:
    found = load_captioner(directory)
    assert isinstance(found, TorchCaptioner)
    return found


OPTIONS = [
    CaptionOptions(num_beams=1),
    CaptionOptions(num_beams=4),
    CaptionOptions(num_captions=5, length_penalty=0.5, max_length=30),
    CaptionOptions(temperature=0.9, top_p=0.9, seed=7, num_captions=3),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_float32_gives_torchs_captions(
    captioner: OpenVinoCaptioner, reference: Captioner, options: CaptionOptions
) -> None:
    images = random_pictures(24)
    ours, theirs = (each.caption(images, options) for each in (captioner, reference))
    for mine, wanted in zip(ours, theirs, strict=True):
        assert [c.text for c in mine] == [c.text for c in wanted]
        assert [c.tokens for c in mine] == [c.tokens for c in wanted]
        assert [c.log_prob for c in mine] == pytest.approx([c.log_prob for c in wanted], abs=1e-3)
    assert len({group[0].text for group in ours}) > 12  # they depend on the picture


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_batch_equals_one_by_one(
    directory: Path, precision: Precision, options: CaptionOptions
) -> None:
    """In int8 too: every row has scales of its own."""
    captioner, images = load(directory, precision), random_pictures(5)
    together = captioner.caption(images, options)
    for index in range(len(images)):
        alone = captioner.caption(images[index : index + 1], options)[0]
        assert [c.text for c in alone] == [c.text for c in together[index]]
        for one, other in zip(alone, together[index], strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, abs=1e-3)


def test_attention_is_torchs(captioner: OpenVinoCaptioner, reference: Captioner) -> None:
    options = CaptionOptions(attention=True, num_captions=2)
    images = random_pictures(3)
    for mine, wanted in zip(
        captioner.caption(images, options), reference.caption(images, options), strict=True
    ):
        for ours, theirs in zip(mine, wanted, strict=True):
            assert ours.words and theirs.words
            assert [word.word for word in ours.words] == [word.word for word in theirs.words]
            for one, other in zip(ours.words, theirs.words, strict=True):
                np.testing.assert_allclose(one.attention, other.attention, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_long_captions_and_many_rows(
    captioner: OpenVinoCaptioner, reference: TorchCaptioner, rows: int
) -> None:
    """OpenVINO picks kernels by size, and has been wrong from 16 tokens on."""
    images = random_pictures(2)
    tokens = torch.randint(0, 320, (2 * rows, 40), generator=torch.Generator().manual_seed(rows))
    found, wanted = both(captioner, reference, images, tokens)
    np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=1e-3)


def both(
    captioner: OpenVinoCaptioner, reference: TorchCaptioner, images: Pixels, tokens: torch.Tensor
) -> tuple[Floats, Floats]:
    """Return log-probabilities `[N, T, V]` by graphs and by torch."""
    graphs, network = captioner.decoder, reference.network
    found = graphs.follow(tokens.numpy(), graphs.encode(images))[0]
    with torch.inference_mode():
        logits = network.decode(tokens, network.encode(torch.from_numpy(images)))
    return found, logits.log_softmax(-1).numpy()


@pytest.mark.parametrize(("precision", "off"), [("bf16", 0.05), ("int8", 0.15)])
def test_narrow_formats_stay_close(
    directory: Path, reference: TorchCaptioner, precision: Precision, off: float
) -> None:
    """Within so much of the scores' spread."""
    needs(precision, "openvino")
    tokens = torch.randint(0, 320, (16, 7), generator=torch.Generator().manual_seed(0))
    captioner = load(directory, precision)
    found, wanted = both(captioner, reference, random_pictures(8), tokens)
    assert found.dtype == np.float32
    assert (found - wanted).std() < off * wanted.std()
    # Not rounded to bfloat16 on the way.
    assert np.count_nonzero(found.view(np.int32) & 0xFFFF) > 0.9 * found.size


def test_a_state_is_not_touched_by_the_next(captioner: OpenVinoCaptioner) -> None:
    graphs, tokens = captioner.decoder, np.array([3, 4])
    memory = graphs.encode(random_pictures(4))
    first, other = graphs.start(memory[:2], 4), graphs.start(memory[2:], 4)
    mine = graphs.step(tokens, first).log_probs()
    kept = mine.copy()
    graphs.step(tokens, other)
    assert (mine == kept).all()
    again = graphs.start(memory[:2], 4)
    assert (graphs.step(tokens, again).log_probs() == kept).all()
    np.testing.assert_allclose(
        graphs.step(tokens, first).log_probs(), graphs.step(tokens, again).log_probs(), rtol=1e-5
    )
    with pytest.raises(ValueError, match="max_steps must be at most 64, got 65"):
        graphs.start(memory, 65)


def test_rows_that_move_take_what_they_wrote_along(
    captioner: OpenVinoCaptioner, reference: TorchCaptioner
) -> None:
    """Beams that swap, double and end, and pictures that leave, as a search has it."""
    random, images = np.random.default_rng(5), random_pictures(3)
    decoders = captioner.decoder, reference.decoder
    states = [each.start(each.encode(images), 40) for each in decoders]
    pictures, rows = 3, 1
    for position in range(40):
        tokens = random.integers(0, 320, pictures * rows)
        found, wanted = (
            each.step(tokens, state).log_probs()
            for each, state in zip(decoders, states, strict=True)
        )
        np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=1e-3)
        keep = np.array([0, 2]) if position == 20 else np.arange(pictures)
        into = {0: 4, 12: 2, 25: 7}.get(position, rows)
        chosen = random.integers(0, rows, (len(keep), into))
        for state in states:
            state.select((keep[:, None] * rows + chosen).ravel(), keep if position == 20 else None)
        pictures, rows = len(keep), into


@pytest.mark.parametrize("encoder", OTHER_ENCODERS, ids=("deit", "swin"))
def test_other_encoders(encoder: DeiTConfig | SwinConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = GPT2Config(
        n_embd=16, n_layer=1, n_head=2, vocab_size=9, bos_token_id=8, eos_token_id=8
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    network = VitGpt2(config).eval()
    images = random_pictures(3, 32)
    write_graphs(parts(network), tmp_path, ("fp32",), images)
    graphs = OpenVinoDecoder(tmp_path, "fp32")
    tokens = torch.tensor([[8, 1, 2], [8, 3, 4], [8, 5, 6]])
    with torch.inference_mode():
        wanted = network.decode(tokens, network.encode(torch.from_numpy(images))).log_softmax(-1)
    found = graphs.follow(tokens.numpy(), graphs.encode(images))[0]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4, rtol=1e-4)


# --- refusals ------------------------------------------------------------------------------------


def test_a_model_without_graphs_names_the_command(vit_gpt2: Path) -> None:
    with pytest.raises(BackendError, match=r"no graphs.*`python -m models export-openvino NAME`"):
        choose.load_fastest(vit_gpt2, "auto", "openvino")


def test_a_method_without_graphs_says_so(tiny_model: Path, tmp_path: Path) -> None:
    other = metadata_module.read(tiny_model).model_copy(update={"method": "image-text-to-text"})
    metadata_module.write(tmp_path, other)
    with pytest.raises(BackendError, match="'image-text-to-text' runs on torch only"):
        choose.load_fastest(tmp_path, "auto", "openvino")


def test_openvino_that_is_missing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match=r"openvino is not installed: pip install -r require"):
        choose.load_fastest(directory, "fp32", "openvino")
    choice = choose.load_fastest(directory, "fp32", "auto")[1]
    assert choice.backend == "torch"


def test_a_format_that_was_not_written(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    info = GraphsInfo.read(directory)
    info.model_copy(update={"weights": ("int8",)}).write(tmp_path)
    with pytest.raises(BackendError, match="compute in int8, not in fp32"):
        choose.load_fastest(tmp_path, "fp32", "openvino")
    # There is nothing else; beside torch's float32 it would have to be asked for.
    choice = choose.load_fastest(tmp_path, "auto", "openvino")[1]
    assert (choice.backend, choice.precision) == ("openvino", "int8")
    assert choose._ways(tmp_path, "auto", "auto")[-1].backend == "torch"
    assert choose._ways(tmp_path, "int8", "auto")[-1] == ("openvino", "int8")


def test_int8_graphs_of_older_versions_need_vnni(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    info = GraphsInfo.read(directory)
    assert info.seven_bits
    info.model_copy(update={"seven_bits": False}).write(tmp_path)
    monkeypatch.setattr(on_openvino, "has_vnni", lambda: False)
    with pytest.raises(BackendError, match=r"int8 graphs are of an older version.*makes them anew"):
        choose.load_fastest(tmp_path, "int8", "openvino")
    choose.load_fastest(directory, "int8", "openvino")
    monkeypatch.setattr(on_openvino, "has_vnni", lambda: True)
    choose.load_fastest(tmp_path, "int8", "openvino")


@pytest.mark.parametrize("name", ["step-fp32.xml", "words-fp32.bin", "graphs.json"])
def test_damaged_graphs(directory: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "openvino" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BrokenModelError):
        load_captioner(tmp_path, "fp32", "openvino")


def test_wrong_graphs_are_noticed(directory: Path) -> None:
    network = VitGpt2Captioner.load_trainable(directory).network
    with torch.no_grad():
        network.text.blocks()[1].mlp.c_proj.weight.neg_()
    with pytest.raises(BackendError, match="do not compute what the model does: off by"):
        openvino_export.check(network, network.vocab_size, directory, random_pictures(2))


# --- the choice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("int8_takes", "taken"), [(0.5, ("torch", "int8")), (0.95, ("openvino", "fp32"))]
)
def test_auto_takes_the_faster(
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    int8_takes: float,
    taken: tuple[str, str],
) -> None:
    """Torch's int8 is tried beside graphs where the card and the processor allow it."""
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    found = metadata_module.read(directory)
    for precision in ("fp32", "int8"):
        how = Conditions(data="a", precision=precision)  # type: ignore[arg-type]
        found = found.with_scores(Measured(conditions=how, scores={"cider": 0.6}))
    metadata_module.write(tmp_path, found)
    monkeypatch.setattr(choose, "has_vnni", lambda: True)
    monkeypatch.setattr(choose, "has_int8", lambda: True)
    monkeypatch.setattr(choose, "multiplies_bf16", lambda: False)
    monkeypatch.setattr(
        choose,
        "_seconds",
        lambda captioner, *_: 1 if isinstance(captioner, OpenVinoCaptioner) else int8_takes,
    )
    captioner, choice = choose.load_fastest(tmp_path, "auto", "auto")
    assert (choice.backend, choice.precision) == taken
    assert choice.ms_per_caption == {"openvino fp32": 1000, "int8": 1000 * int8_takes}
    assert captioner.method == "vit-gpt2"


def test_auto_takes_graphs_and_loads_no_torch(directory: Path) -> None:
    program = (
        "import sys; from pathlib import Path; sys.modules['torch'] = None; "
        "import numpy as np; from models.api.options import CaptionOptions; "
        "from models.choose import load_fastest; "
        f"captioner, choice = load_fastest(Path({str(directory)!r}), 'auto', 'auto'); "
        "spec = captioner.preprocess; "
        "pixels = np.zeros((2, 3, spec.height, spec.width), np.uint8); "
        "captioner.caption(pixels, CaptionOptions(num_captions=2, attention=True)); "
        "captioner.caption(pixels, CaptionOptions(temperature=1.0)); "
        "assert (choice.backend, choice.precision) in (('openvino', 'fp32'), ('openvino', 'bf16'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_auto_is_torch_where_there_are_no_graphs(vit_gpt2: Path, tiny_model: Path) -> None:
    for model in (vit_gpt2, tiny_model):
        choice = choose.load_fastest(model, "fp32", "auto")[1]
        assert (choice.backend, choice.backend_asked) == ("torch", "auto")


# --- around it -----------------------------------------------------------------------------------


def test_a_models_version_counts_its_graphs(directory: Path, tmp_path: Path) -> None:
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    version = content_version(directory)
    assert content_version(tmp_path) == version
    (tmp_path / "openvino" / "graphs.json").write_text("{}")
    assert content_version(tmp_path) != version


def test_neither_telemetry_nor_transformers_is_loaded(directory: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from models.registry import load_captioner; "
        f"load_captioner(Path({str(directory)!r}), 'int8', 'openvino'); "
        "names = 'openvino_telemetry', 'transformers', 'torch', 'nncf'; "
        "found = [name for name in names if sys.modules.get(name)]; "
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # names what is


def test_signals_are_survived(directory: Path, tmp_path: Path) -> None:
    """OpenVINO leaves Python's signal handlers a stack that is gone, unless it is kept from it."""
    program = (
        "import gc, os, signal; from pathlib import Path; "
        "from models.registry import load_captioner; "
        "from models.captioners.vit_gpt2.captioner import VitGpt2Captioner; "
        "from models.captioners.vit_gpt2.graphs import parts; "
        "from models.runtimes.openvino import export as openvino_export; "
        "from tests.checkpoints import OTHER_ENCODERS, random_pictures; seen = []; "
        "signal.signal(signal.SIGUSR1, lambda *_: seen.append(1)); "
        f"path = Path({str(tmp_path / 'model')!r}); "
        "network = VitGpt2Captioner.load_trainable(path).network; "
        "kinds = ('fp32', 'int8'); "
        "openvino_export.export(network, parts(network), path, kinds, random_pictures(2)); "
        "held = [load_captioner(path, name, 'openvino') for name in ('fp32', 'int8')]; "
        "del held[0]; gc.collect(); held.append(load_captioner(path, 'fp32', 'openvino')); "
        "del held[0]; gc.collect(); os.kill(os.getpid(), signal.SIGUSR1); "
        "held.clear(); gc.collect(); os.kill(os.getpid(), signal.SIGUSR1); assert seen == [1, 1]"
    )
    shutil.copytree(directory, tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_drawn_pictures_vary() -> None:
    drawn = draw_pictures(40, 56)
    assert drawn.shape == (32, 3, 40, 56) and drawn.dtype == np.uint8
    assert np.ptp(drawn.mean((1, 2, 3))) > 60 and drawn.std((1, 2, 3)).min() > 10
    assert (draw_pictures(40, 56) == drawn).all()
    assert (draw_pictures(40, 56, 3) == drawn[:3]).all()


def test_pictures_are_read_from_a_folder(tmp_path: Path) -> None:
    spec = PreprocessSpec(height=16, width=16)
    with pytest.raises(ValueError, match="no picture in"):
        read_pictures(tmp_path, spec)
    (tmp_path / "deeper").mkdir()
    for index in range(3):
        Image.new("RGB", (30, 20), (index * 80, 0, 9)).save(tmp_path / "deeper" / f"{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert read_pictures(tmp_path, spec)[:, 0, 8, 8].tolist() == [0, 80, 160]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(ValueError, match=r"broken\.jpg cannot be read"):
        read_pictures(tmp_path, spec)
