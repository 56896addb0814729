"""The Kubernetes manifests: valid, and true of the server they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.base import metrics
from serving.base.settings import PREFIX, Settings
from serving.http.auth import PROBES
from tests.server import ROOT

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="no kubernetes-validate: pip install -r requirements-dev.lock"
)

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.34", "1.37")


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


RESOURCES = {name: load(FOLDER / name) for name in load(FOLDER / "kustomization.yaml")["resources"]}


@pytest.mark.parametrize("name", RESOURCES)
@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(RESOURCES[name], version, strict=True)


def test_the_validator_would_tell() -> None:
    wrong = {**RESOURCES["service.yaml"], "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_every_manifest_is_applied_or_values_of_another() -> None:
    others = {"kustomization.yaml", "metrics-rule.yaml"}
    assert {path.name for path in FOLDER.iterdir()} == set(RESOURCES) | others


def test_they_fit_each_other() -> None:
    deployment = RESOURCES["deployment.yaml"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert RESOURCES["service.yaml"]["spec"]["selector"] == labels
    assert RESOURCES["disruption.yaml"]["spec"]["selector"]["matchLabels"] == labels
    target = RESOURCES["autoscaler.yaml"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]


def test_they_are_true_of_the_server() -> None:
    pod = RESOURCES["deployment.yaml"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"] for port in container["ports"]}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[name]["httpGet"]
        assert probe["path"] in PROBES and probe["port"] in ports
    for variable in container["env"]:
        assert variable["name"].removeprefix(PREFIX).lower() in Settings.model_fields
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > Settings().stop_s + pause
    (metric,) = RESOURCES["autoscaler.yaml"]["spec"]["metrics"]
    (sample,) = metrics.images_waiting().collect()
    assert metric["pods"]["metric"]["name"] == sample.name
    assert sample.name in (FOLDER / "metrics-rule.yaml").read_text(encoding="utf-8")
