"""Addresses that deploy/ names, against the routes that the server has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy import warm
from serving.app import create_app
from serving.base.settings import Settings
from serving.http.auth import METRICS_PATH, PROBES
from tests.server import ROOT

DEPLOY = ROOT / "deploy"
ROUTES: list[Any] = list(create_app(Settings()).routes)
PATHS = {route.path for route in ROUTES}
TELLING = {"/api/show"}
"""Of those that take POST, the ones that no picture is sent to."""

WORK = {route.path for route in ROUTES if "POST" in (route.methods or ())} - TELLING
"""Routes that pictures are sent to: they cost seconds, the others nothing."""

MACHINES = PROBES | {METRICS_PATH}
HIDDEN = {METRICS_PATH, "/schema.json"}
"""BentoML's own that nobody outside needs."""


def locations(file: str) -> list[tuple[re.Pattern[str], str]]:
    """Return the pattern and the body of nginx's locations that are regular expressions."""
    text = (DEPLOY / file).read_text()
    found = re.findall(r"location ~ (\S+) \{(.*?)\n    \}", text, re.DOTALL)
    return [(re.compile(pattern), body) for pattern, body in found]


def matched_by(word: str) -> set[str]:
    """Return the addresses whose location in nginx says `word`."""
    (pattern,) = [pattern for pattern, body in locations("nginx/captionbox.conf") if word in body]
    return {path for path in PATHS | MACHINES | HIDDEN if pattern.search(path)}


def test_nginx_limits_what_costs_work() -> None:
    assert matched_by("zone=captions") == WORK


def test_nginx_hides_what_is_for_machines_inside() -> None:
    assert matched_by("return 404") == HIDDEN
    replicas = (DEPLOY / "replicas" / "nginx.conf").read_text()
    assert set(re.findall(r"location = (\S+) ", replicas)) <= HIDDEN


def queries() -> list[str]:
    """Return every expression of the dashboard."""
    found: list[str] = []

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            found.extend(value for key, value in part.items() if key == "expr")
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                walk(each)

    walk(json.loads((DEPLOY / "grafana-dashboard.json").read_text()))
    return found


@pytest.mark.parametrize(
    ("operator", "expected"), [("=~", WORK), ("!~", MACHINES)], ids=["work", "machines"]
)
def test_the_dashboard_has_every_route(operator: str, expected: set[str]) -> None:
    patterns = re.findall(rf'route{operator}"([^"]*)"', " ".join(queries()))
    assert patterns
    for pattern in patterns:
        assert set(pattern.split("|")) == expected


def test_no_traces_of_machines() -> None:
    tracing = yaml.safe_load((DEPLOY / "tracing.yaml").read_text())["services"]["tracing"]
    assert {f"/{url}" for url in tracing["excluded_urls"].split(",")} == MACHINES


def test_what_is_asked_for_is_there() -> None:
    (pod,) = [
        document["spec"]["template"]["spec"]
        for document in yaml.safe_load_all((DEPLOY / "kubernetes/deployment.yaml").read_text())
    ]
    container = pod["containers"][0]
    probes = [container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")]
    assert probes and set(probes) <= PROBES
    assert set(warm.PAGES) <= PATHS | {METRICS_PATH}
