"""Every metric of a real server with two engine processes, and the dashboard that shows them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from models.hub.import_model import prepare
from serving.base.version import __version__
from serving.contract.schemas import CaptionResponse
from tests.asking import PICTURE, caption, check
from tests.drawings import NAMES, caption_of, draw, encode
from tests.locked import ANNA, SETTING, bearer
from tests.models.captioners.vlm.families import MAKERS
from tests.server import ROOT, Server, install

DASHBOARD = ROOT / "deploy/grafana-dashboard.json"
SCRAPE = ROOT / "deploy/prometheus.yml"
PAGE = ROOT / "docs/operations.md"
STAGES = ("picture_encode", "text_decode")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def server(
    tiny_model: Path,
    tiny_matcher: Path,
    tmp_path_factory: pytest.TempPathFactory,
    start_server: Callable[..., Server],
) -> Iterator[Server]:
    """Return a server with a captioner of each kind, a matcher, and two engine processes."""
    home = tmp_path_factory.mktemp("metrics")
    source, blip = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("blip")
    MAKERS["blip"](source)
    prepare(str(source), blip)
    install(home, tiny_model)
    install(home, blip, "tiny-blip")
    install(home, tiny_matcher, "bridgetower")
    server = start_server(
        home,
        models="compact,tiny-blip",
        matcher="bridgetower",
        engine_workers="2",
        max_batch_size="2",
        allow_urls="true",
        api_keys=SETTING,
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, headers=bearer(ANNA)) as client:
        yield client


def scrape(client: httpx.Client) -> Samples:
    """Return every sample by its name and labels."""
    text = client.get("/metrics").raise_for_status().text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    return sum(
        value
        for (found, having), value in samples.items()
        if found == f"captionbox_{name}" and labels.items() <= set(having)
    )


async def caption_many(server: Server, count: int) -> None:
    """Ask for so many captions at once, and check each."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=bearer(ANNA)) as client:

        async def one(number: int) -> None:
            name = NAMES[number % len(NAMES)]
            answer = await client.post("/caption", files={"image": encode(draw(name))})
            assert answer.json()["captions"][0]["text"] == caption_of(name)

        await asyncio.gather(*(one(number) for number in range(count)))


def test_what_two_engine_processes_did_adds_up(server: Server, client: httpx.Client) -> None:
    engines = server.workers("captionbox-engine")
    assert len(engines) == 2
    before = scrape(client)
    asked = 0
    for _ in range(20):  # until both have had something to do
        asyncio.run(caption_many(server, 24))
        asked += 24
        if all(captioned_by(server, engine.pid) for engine in engines):
            break
    else:
        pytest.fail("one of the two engine processes never works")
    check(caption(client, b"no picture"), 415, "unsupported-image")
    after = scrape(client)

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("requests_total", route="/caption", status="200", model="compact") == asked
    assert grown("requests_total", route="/caption", status="415", model="compact") == 1
    posted = {"face": "captionbox", "method": "POST", "route": "/caption"}
    assert grown("request_duration_seconds_count", **posted) == asked + 1
    assert grown("problems_total", kind="unsupported-image", model="compact") == 1
    assert grown("requests_by_key_total", key="anna") >= asked + 1
    for name in ("images_captioned_total", "images_per_batch_sum", "queue_seconds_count"):
        assert grown(name, model="compact") == asked, name
    assert grown("picture_decode_seconds_count", model="compact", format="PNG") == asked
    batches = grown("images_per_batch_count", model="compact")
    assert asked / 2 <= batches < asked
    for name in ("inference", *STAGES):
        assert grown(f"{name}_seconds_count", model="compact") == batches, name
    parts = [grown(f"{name}_seconds_sum", model="compact") for name in STAGES]
    assert all(part > 0 for part in parts)
    assert sum(parts) <= grown("inference_seconds_sum", model="compact")
    assert total(after, "model_load_seconds", model="compact") > 0
    assert total(after, "engine_up") == 1
    assert total(after, "images_in_progress") == total(after, "images_waiting") == 0


def captioned_by(server: Server, pid: int) -> float:
    """Return how many pictures one engine process has captioned, from its own file."""
    file = server.log.with_suffix(".home") / "prometheus_multiproc_dir" / f"counter_{pid}.db"
    values = MmapedDict.read_all_values_from_file(str(file))
    return sum(value for key, value, *_ in values if "captionbox_images_captioned" in key)


def test_tokens_are_those_that_the_answers_tell(client: httpx.Client) -> None:
    for model in ("compact", "tiny-blip"):
        before = scrape(client)
        answer = caption(client, model=model, num_captions="3")
        written = [c.tokens for c in CaptionResponse.model_validate(answer.json()).captions]
        after = scrape(client)
        grown = total(after, "tokens_total", model=model) - total(
            before, "tokens_total", model=model
        )
        assert grown == sum(count or 0 for count in written) > 0


def test_other_models_have_the_same_metrics(client: httpx.Client) -> None:
    """A captioner of transformers, and the matcher, as far as they do the same work."""
    assert caption(client, model="tiny-blip").status_code == 200
    texts = {"texts": ["a dog", "a red ring"]}
    assert client.post("/match", files={"image": PICTURE}, data=texts).status_code == 200
    samples = scrape(client)
    assert total(samples, "requests_total", route="/match", model="bridgetower") == 1
    for model in ("tiny-blip", "bridgetower"):
        for name in ("picture_decode", "queue", "inference"):
            assert total(samples, f"{name}_seconds_count", model=model) > 0, (model, name)
        assert total(samples, "model_load_seconds", model=model) > 0
    for name in STAGES:
        assert total(samples, f"{name}_seconds_sum", model="tiny-blip") > 0
    assert total(samples, "pairs_per_batch_sum", model="bridgetower") == 2
    assert total(samples, "texts_matched_total", model="bridgetower") == 2


def test_addresses_that_give_no_picture_are_counted(client: httpx.Client) -> None:
    body = {"url": "http://127.0.0.1/x.png", "model": "tiny-blip"}
    check(client.post("/caption_url", json=body), 422, "url-refused")
    samples = scrape(client)
    assert total(samples, "fetch_failures_total", model="tiny-blip", reason="url-refused") == 1
    labels = {"route": "/caption_url", "status": "422", "model": "tiny-blip"}
    assert total(samples, "requests_total", **labels) == 1


def test_interfaces_are_told_apart(client: httpx.Client) -> None:
    url = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    bare = url.partition(",")[2]
    assert client.post("/v1/responses", json={"input": "Hi"}).status_code == 200
    assert client.post("/api/generate", json={"images": [bare]}).status_code == 200
    assert client.post("/api/v1/vision/caption", json={"images": [url]}).status_code == 200
    assert client.request("BREW", "/mcp").status_code == 405
    samples = scrape(client)
    for face in ("openai", "ollama", "photoprism"):
        assert total(samples, "requests_total", face=face, status="200") == 1, face
    # A client can make up neither interfaces nor methods.
    counted = "request_duration_seconds_count"
    assert total(samples, counted, face="mcp", method="other", route="/mcp") == 1
    assert total(samples, "build_info", version=__version__) == 1


# --- the dashboard --------------------------------------------------------------------------------


def queries() -> list[str]:
    """Return every query of the dashboard: its panels' and its variables'."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [
        target["expr"]
        for panel in dashboard["panels"]
        for part in (panel, *panel.get("panels", ()))
        for target in part.get("targets", ())
    ]
    found += [
        variable["query"]["query"]
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]
    return found


def labels_in(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield every metric of a query with the labels that it chooses by."""
    for name, chosen in re.findall(r"\b((?:captionbox|bentoml)_\w+)(?:\{(.*?)\})?", query):
        yield name, set(re.findall(r"(\w+)\s*[=!]~?\s*\"", chosen))


def test_the_dashboard_asks_for_what_there_is(client: httpx.Client) -> None:
    """Runs last: by now the server has done everything that it counts."""
    there: dict[str, set[str]] = {}
    for name, labels in scrape(client):
        there.setdefault(name, set()).update(key for key, _ in labels)
    asked = queries()
    assert len(asked) > 10
    for query in asked:
        found = list(labels_in(query))
        assert found, f"no metric of ours: {query}"
        for name, labels in found:
            assert name in there, f"{name} is not exported: {query}"
            # What Prometheus itself adds is there for every metric.
            assert labels - {"instance", "job"} <= there[name], query
        for group in re.findall(r"\bby \((.*?)\)", query):
            names = {label.strip() for label in group.split(",")} - {"instance", "job"}
            assert all(names <= there[name] for name, _ in found), query
    ours = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in there}
    shown = {re.sub(r"_(bucket|count|sum)$", "", n) for q in asked for n, _ in labels_in(q)}
    missing = {name for name in ours if name.startswith("captionbox_")} - shown
    assert not missing, f"the dashboard does not show {missing}"


def test_the_page_on_operation_lists_what_there_is(client: httpx.Client) -> None:
    """After the above, for the same reason."""
    there: dict[str, set[str]] = {}
    for name, labels in scrape(client):
        if name.startswith("captionbox_"):
            short = re.sub(r"_(bucket|count|sum|created)$", "", name.removeprefix("captionbox_"))
            there.setdefault(short, set()).update({key for key, _ in labels} - {"le", "pid"})
    table = PAGE.read_text(encoding="utf-8").partition("| `captionbox_…` |")[2].partition("\n\n")[0]
    listed: dict[str, set[str]] = {}
    for names, chosen in re.findall(r"^\| (`[^|]+) \|([^|]*)\|", table, re.MULTILINE):
        shown = re.findall(r"`(\w+)`", names)
        groups = [set(re.findall(r"`(\w+)`", group)) for group in chosen.split(";")]
        listed |= dict(zip(shown, groups * len(shown), strict=False))
    assert listed == there


def test_dashboard_and_scrape_settings_are_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels:
        assert panel["title"] and panel["datasource"]["uid"] == "${datasource}"
    (job,) = yaml.safe_load(SCRAPE.read_text(encoding="utf-8"))["scrape_configs"]
    settings: dict[str, Any] = job
    assert settings.get("metrics_path", "/metrics") == "/metrics"
    assert settings["static_configs"][0]["targets"]
