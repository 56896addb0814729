"""Put models into the BentoML model store and look at what is there.

python -m models known [--json]
python -m models ensure [NAME ...]
python -m models install-default
python -m models import KNOWN_NAME|HUB_ID|DIRECTORY [--as NAME] [--revision SHA] [--openvino]
python -m models verify NAME
python -m models export-openvino NAME[:VERSION] [--pictures DIRECTORY] [--weights fp32 int8]
python -m models list
python -m models show NAME[:VERSION]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from models import store
from models.api.device import BackendError, Precision, has_openvino
from models.api.metadata import CARD_NAME, BrokenModelError
from models.hub.known_models import KNOWN_MODELS, KnownModel, find_known
from models.hub.provide import EMBEDDED, announce, provide
from models.registry import find_method
from models.store import StoredModel

DEFAULT_DIRECTORY = Path(__file__).resolve().parent / "weights" / EMBEDDED

logger = logging.getLogger("models")


def install_default() -> int:
    """Install the embedded default model unless this very version is there already."""
    if has_openvino() and find_spec("torch"):
        # Only here, as below.
        from models.export_openvino import install_with_graphs

        model = install_with_graphs(DEFAULT_DIRECTORY, EMBEDDED)
    else:
        version = store.content_version(DEFAULT_DIRECTORY)
        model = store.install(DEFAULT_DIRECTORY, EMBEDDED, version)
    logger.info("%s is in the model store", model.tag)
    return 0


def list_known(as_json: bool) -> int:
    """Print what is known of the hub's captioners, for people or as JSON."""
    if as_json:
        content = [model.model_dump(mode="json") for model in KNOWN_MODELS]
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return 0
    for model in KNOWN_MODELS:
        terms = "" if model.terms == "open" else f", {model.terms}"
        size = f"{model.parameters} M weights, {model.memory_mb() / 1000:.1f} GB in float32"
        cider = f"COCO CIDEr {model.cider} ({model.cider_source}); " if model.cider else ""
        names = ", ".join((model.name, *model.aliases))
        verified = model.verified or "nobody has yet (python -m models verify)"
        sys.stdout.write(
            f"{names}\n    {model.good_at}\n    {size}; licence {model.licence}{terms}\n"
            f"    {cider}verified: {verified}\n"
        )
    return 0


def ensure(names: list[str]) -> int:
    """Fetch what is to be served and is not in the store; print the settings that serve it.

    Args:
        names: of captioners, and a matcher or none; by default what the environment asks for.
    """
    install_default()
    if not names:
        asked = [os.environ.get(f"CAPTIONBOX_{name}", "") for name in ("MODELS", "MATCHER")]
        names = [",".join(asked)]
    wanted = [name.strip() for name in ",".join(names).split(",") if name.strip()]
    found = provide(wanted or [EMBEDDED], lambda known, name: _fetch(known.hub_id, name, known))
    kinds: dict[str, list[str]] = {"captioner": [], "matcher": []}
    for model in found:
        kinds[find_method(model.metadata.method).kind].append(
            model.tag if model.tag in wanted else model.name
        )
    settings = f"CAPTIONBOX_MODELS={','.join(kinds['captioner']) or EMBEDDED}"
    if kinds["matcher"]:
        settings += f" CAPTIONBOX_MATCHER={','.join(kinds['matcher'])}"
    sys.stdout.write(settings + "\n")
    return 0


def import_model(source: str, name: str | None, revision: str | None, openvino: bool) -> int:
    """Import a model from the hub or a directory; give it graphs for OpenVINO too if asked to."""
    known = None if Path(source).is_dir() else find_known(source)
    if known is not None:
        announce(known)
        name, source = name or source, known.hub_id
    if name is None:
        raise ValueError("--as NAME is missing; only a known model has a name of its own")
    model = _fetch(source, name, known, revision, openvino)
    setting = "MATCHER" if find_method(model.metadata.method).kind == "matcher" else "MODELS"
    logger.info("imported %s; serve it with CAPTIONBOX_%s=%s", model.tag, setting, model.name)
    return 0


def _fetch(
    source: str,
    name: str,
    known: KnownModel | None,
    revision: str | None = None,
    openvino: bool = False,
) -> StoredModel:
    """Import a model at the revision given, or else the one on record."""
    if openvino and not has_openvino():
        raise BackendError("openvino is not installed: pip install -r requirements.lock")
    _be_discreet()
    # Only here: it brings torch and transformers, seconds that the other commands need not wait.
    from models.hub.import_model import import_model as run

    if known is not None and revision is None:
        revision = known.revision
    if openvino:
        from models.export_openvino import add_graphs

        return run(source, name, revision, add_graphs)
    return run(source, name, revision)


def _be_discreet() -> None:
    """Have the hub's libraries tell neither the hub nor the terminal more than they must."""
    # Which models somebody imports is nobody's business; and a mirror may know no xet.
    for switch in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET"):
        os.environ.setdefault(switch, "1")
    for library in ("httpx", "httpx2"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # Only here, and after the switches: it brings seconds that the other commands need not wait.
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()


def verify(name: str) -> int:
    """Try a model beside transformers; print the report. 1 where the two differ."""
    (model,) = provide([name], lambda known, name: _fetch(known.hub_id, name, known))
    _be_discreet()
    # Only here, as above.
    from models.hub.verify import verify as run

    report = run(model)
    sys.stdout.write(report.markdown())
    return 0 if report.good else 1


def export_openvino(tag: str, weights: list[Precision] | None, pictures: Path | None) -> int:
    """Give a model graphs for OpenVINO."""
    # Only here, as above.
    from models.export_openvino import export_model
    from models.runtimes.openvino.files import WEIGHTS

    model = export_model(tag, tuple(weights or WEIGHTS), pictures)
    logger.info("%s has graphs; serve it with CAPTIONBOX_BACKEND=openvino", model.tag)
    return 0


def list_models() -> int:
    """Print a line per model in the store."""
    for model in store.list_models():
        parameters = f"{model.metadata.parameters / 1e6:.1f} M parameters"
        sys.stdout.write(f"{model.tag}\t{model.metadata.method}\t{parameters}\n")
    return 0


def show(tag: str) -> int:
    """Print a model's metadata and card."""
    model = store.find(tag)
    content = {"tag": model.tag, **model.metadata.model_dump(mode="json")}
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
    card = model.path / CARD_NAME
    if card.is_file():
        sys.stdout.write("\n" + card.read_text(encoding="utf-8"))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    known = commands.add_parser("known", help="list the captioners that can be had by name")
    known.add_argument("--json", action="store_true", help="all that is on record of each")
    ensurer = commands.add_parser(
        "ensure", help="fetch what is to be served and not in the store yet (`make serve` does)"
    )
    ensurer.add_argument(
        "names", nargs="*", metavar="NAME", help="default: CAPTIONBOX_MODELS and CAPTIONBOX_MATCHER"
    )
    commands.add_parser("install-default", help="install the embedded model `compact`")
    importer = commands.add_parser("import", help="import a model from the hub")
    importer.add_argument("source", metavar="KNOWN_NAME|HUB_ID|DIRECTORY", help="what to import")
    importer.add_argument(
        "--as", dest="name", metavar="NAME", help="its new name (default: that of a known model)"
    )
    importer.add_argument(
        "--revision", help="branch, tag or commit (default: the one on record, else main)"
    )
    importer.add_argument(
        "--openvino", action="store_true", help="with graphs for OpenVINO, as export-openvino makes"
    )
    verifier = commands.add_parser(
        "verify", help="try a model beside transformers; prints a report to paste into an issue"
    )
    verifier.add_argument("name", metavar="NAME", help="a known model, or one in the store")
    exporter = commands.add_parser(
        "export-openvino", help="give a model graphs for OpenVINO, as a new version"
    )
    exporter.add_argument("tag", metavar="NAME", help="name or name:version in the store")
    exporter.add_argument("--weights", nargs="+", choices=("fp32", "int8"), help="default: both")
    exporter.add_argument(
        "--pictures", type=Path, help="folder of pictures that int8 is fitted to (default: drawn)"
    )
    commands.add_parser("list", help="list the models in the store")
    commands.add_parser("show", help="show one model").add_argument("tag", metavar="NAME")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.command == "known":
            return list_known(options.json)
        if options.command == "ensure":
            return ensure(options.names)
        if options.command == "install-default":
            return install_default()
        if options.command == "import":
            return import_model(options.source, options.name, options.revision, options.openvino)
        if options.command == "verify":
            return verify(options.name)
        if options.command == "export-openvino":
            return export_openvino(options.tag, options.weights, options.pictures)
        return show(options.tag) if options.command == "show" else list_models()
    except (store.ModelNotFoundError, BrokenModelError, ValueError, OSError) as error:
        logger.error("%s", error)
        return 2
    except KeyboardInterrupt:
        logger.error("stopped; the same command goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main())
