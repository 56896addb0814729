"""Addresses, probes, the OpenAPI document and the pages of a real server."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from models.api.options import CaptionOptions
from serving.base.problems import KINDS
from serving.base.version import __version__
from serving.contract.schemas import ModelsResponse
from tests.asking import check

# --- addresses and methods -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nothing", "/caption/", "/static_content/index.css"])
def test_unknown_addresses(client: httpx.Client, path: str) -> None:
    assert check(client.get(path), 404, "not-found").instance == path
    check(client.get("/v1/models/gpt-9"), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/caption", {"POST"}),
        ("PUT", "/caption", {"POST"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("POST", "/v1/models", {"GET", "HEAD"}),
        ("DELETE", "/metrics", {"GET", "HEAD"}),
        ("POST", "/readyz", {"GET", "HEAD"}),
    ],
)
def test_wrong_methods(client: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    response = client.request(method, path)
    check(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == allowed


def test_an_error_on_head_has_no_body(client: httpx.Client) -> None:
    response = client.head("/nothing")
    assert (response.status_code, response.content) == (404, b"")
    assert response.headers["content-type"] == "application/problem+json"


def test_models(client: httpx.Client) -> None:
    answer = ModelsResponse.model_validate(client.get("/v1/models").json())
    assert [model.id for model in answer.data] == ["compact"]
    model = answer.data[0]
    assert (model.version, model.method, model.default) == ("test", "compact", True)
    assert model.parameters > 0
    assert (model.input.width, model.input.fit) == (32, "squash")
    absent = ("prompt", "rerank")
    assert model.options == [name for name in CaptionOptions.model_fields if name not in absent]
    assert abs(model.created - time.time()) < 86400
    assert client.get("/v1/models/compact").json() == model.model_dump()


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_probes(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200 and response.headers["x-request-id"]


def test_every_kind_of_problem_is_explained_at_its_type(client: httpx.Client) -> None:
    for slug, kind in KINDS.items():
        answer = client.get(f"/problems/{slug}").json()
        assert (answer["status"], answer["title"]) == (kind.status, kind.title)


# --- pages ---------------------------------------------------------------------------------------


def test_openapi_is_ours_and_tells_the_limits(client: httpx.Client) -> None:
    text = client.get("/docs.json").text
    for foreign in ("bentoml", "BentoML", "google", "badge", "slack"):
        assert foreign not in text
    document = client.get("/docs.json").json()
    assert (document["info"]["title"], document["info"]["version"]) == ("Captionbox", __version__)
    operation = document["paths"]["/caption"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image"]
    for name in CaptionOptions.model_fields:
        assert form["properties"][name]["description"], name
        assert form["properties"][name]["examples"], name
    assert form["properties"]["num_beams"]["maximum"] == 8
    assert set(operation["responses"]) >= {"200", "404", "413", "415", "422", "429", "503", "504"}
    schemas = document["components"]["schemas"]
    for reference in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert reference in schemas


FOREIGN = re.compile(
    r"""(?:src|srcset|href|action|data)\s*=\s*["']?\s*(?:https?:)?//"""
    r"""|url\(\s*["']?(?:https?:)?//|@import\s+["']?(?:url\()?["']?(?:https?:)?//"""
    r"""|(?:from|import|fetch\()\s*["'`](?:https?:)?//"""
)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers={"Accept": "text/html"})
    assert response.headers["content-type"].startswith("text/html")
    assert "googletagmanager" not in response.text
    assert "BentoML Prediction Service" not in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    texts = {path: response.text}
    for link in re.findall(r'(?:src|href)="([^"#]+)"', response.text):
        if not link.startswith(("data:", "./")):
            loaded = client.get(f"/{link}")
            assert loaded.status_code == 200, link
            texts[link] = loaded.text
    for link, text in texts.items():
        if "swagger-ui" not in link:  # holds example addresses, loads none of them
            assert not FOREIGN.search(text), link


def test_only_the_pages_files_are_served(client: httpx.Client) -> None:
    for path in (
        "/index.html",
        "/docs.html",
        "/service.py",
        "/../service.py",
        "/js/../../x",
        "/web",
    ):
        check(client.get(path), 404, "not-found")
