"""Fixtures for every test: a tiny trained model and real servers that serve it."""

from __future__ import annotations

import os

# Before torch is imported: the networks of the tests are small, several processes run them at once,
# and threads that wait for each other's products on a busy machine take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests import locked
from tests.drawings import make_tiny_model
from tests.matchers import make_tiny_matcher
from tests.picture_site import Site, serve_site
from tests.server import Server, install


@pytest.fixture(autouse=True)
def _pillows_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep from the next test the limit on pixels that `serving.pictures.images` sets in Pillow."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model directory whose captioner knows the pictures of `tests.drawings`."""
    directory = tmp_path_factory.mktemp("model") / "compact"
    make_tiny_model(directory)
    return directory


@pytest.fixture(scope="session")
def bentoml_home(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BENTOML_HOME whose store holds `compact:test`."""
    home = tmp_path_factory.mktemp("bentoml")
    install(home, tiny_model)
    return home


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server; all are stopped at the end of the session."""
    servers: list[Server] = []
    logs = tmp_path_factory.mktemp("logs")

    def start(
        home: Path,
        *,
        what: str = "service:Captioner",
        cwd: Path | None = None,
        host: str = "127.0.0.1",
        variables: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        **settings: str,
    ) -> Server:
        log = logs / f"server-{len(servers)}.log"
        server = Server(home, log, what=what, host=host, settings=settings)
        server.variables, server.prefix = variables or {}, prefix or []
        if cwd is not None:
            server.cwd = cwd
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server of the tiny `compact` with default settings."""
    return start_server(bentoml_home)


@pytest.fixture(scope="session")
def tiny_matcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model directory that holds a small BridgeTower with random weights."""
    directory = tmp_path_factory.mktemp("matcher") / "bridgetower"
    make_tiny_matcher(directory)
    return directory


@pytest.fixture(scope="session")
def matching_home(
    tiny_model: Path, tiny_matcher: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a BENTOML_HOME whose store holds `compact:test` and `bridgetower:test`.

    Not `bentoml_home`: servers that run at once would share their metrics' files in one home.
    """
    home = tmp_path_factory.mktemp("matching")
    install(home, tiny_model)
    install(home, tiny_matcher, "bridgetower")
    return home


@pytest.fixture(scope="session")
def matching_server(matching_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server of the tiny `compact` and the tiny `bridgetower`."""
    return start_server(matching_home, matcher="bridgetower")


@pytest.fixture
def matching_client(matching_server: Server) -> Iterator[httpx.Client]:
    """Return an HTTP client of `matching_server`."""
    with httpx.Client(base_url=matching_server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the locked server's file of keys."""
    file = tmp_path_factory.mktemp("secrets") / "keys"
    file.write_text(locked.FILE)
    return file


@pytest.fixture(scope="session")
def locked_server(
    bentoml_home: Path, start_server: Callable[..., Server], key_file: Path
) -> Server:
    """Return a server that wants the keys of `tests.locked`, and takes bodies up to 1 MiB."""
    return start_server(
        bentoml_home, api_keys=locked.SETTING, api_keys_file=str(key_file), max_upload_mb="1"
    )


@pytest.fixture(scope="session")
def tight_server(bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server that misbehaves as `tests.faults` says, with room for one picture."""
    return start_server(
        bentoml_home,
        what="tests.faults:Captioner",
        max_concurrency="1",
        timeout_s="3",
        upload_patience_s="2",
        max_upload_mb="0.5",
        max_pixels="1e4",
    )


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Return a small web site with pictures."""
    with serve_site() as site:
        yield site


@pytest.fixture(scope="session")
def fetching_server(site: Site, bentoml_home: Path, start_server: Callable[..., Server]) -> Server:
    """Return a server that may fetch pictures from `site`, and takes bodies up to 2 MiB."""
    return start_server(
        bentoml_home,
        allow_urls="true",
        url_ports=f"{site.port}, 80",
        url_networks="127.0.0.1/32",
        url_timeout_s="1",
        max_upload_mb="2",
    )


@pytest.fixture(scope="session")
def vit_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small `vit-gpt2` with random weights, as `python -m models import` makes it."""
    # Imported here: the tests that need no network stay quick.
    from models.api import metadata
    from models.api.measured import Conditions, Measured
    from models.hub.import_model import prepare
    from tests.checkpoints import write_vit_gpt2

    target = tmp_path_factory.mktemp("vit-gpt2")
    prepare(str(write_vit_gpt2(tmp_path_factory.mktemp("hub"))), target)
    measured = Measured(conditions=Conditions(data="coco/val"), scores={"cider": 0.9})
    described = {"data": ["coco/train: 82,783 pictures"], "scores": [measured]}
    metadata.write(target, metadata.read(target).model_copy(update=described))
    return target


@pytest.fixture(scope="session")
def several_server(
    tiny_model: Path,
    vit_gpt2: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start_server: Callable[..., Server],
) -> Server:
    """Return a server of two models, `compact` and `vit-gpt2`, in full precision."""
    home = tmp_path_factory.mktemp("several")
    install(home, tiny_model)
    install(home, vit_gpt2, "vit-gpt2", "test")
    return start_server(home, models="compact,vit-gpt2", precision="fp32")


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Return an HTTP client of `server`."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the server's log beside a test that failed with it."""
    report = yield
    for name in ("server", "matching_server"):
        found = getattr(item, "funcargs", {}).get(name)
        if report.failed and isinstance(found, Server):
            report.sections.append((f"{name} log", found.tail()))
    return report
