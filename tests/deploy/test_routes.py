"""Addresses that deploy/ names, against the routes that the server has."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from deploy import warm
from serving.app import create_app
from serving.base.settings import Settings
from serving.http.auth import METRICS_PATH, PROBES
from tests.server import ROOT

DEPLOY = ROOT / "deploy"
ROUTES: list[Any] = list(create_app(Settings()).routes)
PATHS = {route.path for route in ROUTES}
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


def test_nginx_limits_whatever_is_sent_by_post() -> None:
    """No list of addresses that each further interface would be missing from."""
    text = (DEPLOY / "nginx/captionbox.conf").read_text()
    (by_method,) = re.findall(
        r'map "\$request_method \$key" \$working_address \{(.*?)\}', text, re.DOTALL
    )
    assert '"POST " $binary_remote_addr;' in by_method
    assert "limit_req_zone $working_address zone=captions:" in text
    # Said for the whole server, and nowhere replaced by other limits.
    assert [line for line in text.splitlines() if "limit_req zone=" in line] == [
        f"    limit_req zone={zone} burst={burst} nodelay;"
        for zone, burst in (("captions", 40), ("keys", 200), ("everything", 100), ("tries", 400))
    ]


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


def test_the_dashboard_needs_no_list_of_routes() -> None:
    expressions = " ".join(queries())
    times = re.findall(r"captionbox_request_duration_seconds\w*\{([^}]*)\}", expressions)
    assert times and all('method="POST"' in labels for labels in times)
    assert 'route=~"' not in expressions
    hidden = re.findall(r'route!~"([^"]*)"', expressions)
    assert hidden and all(set(pattern.split("|")) == MACHINES for pattern in hidden)


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
