"""Settings: what is read, what is refused, and how it is said."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from serving.base.environment import SettingsError, load_settings
from serving.base.machine import available_cores
from serving.base.settings import PREFIX, Settings
from tests.server import ROOT, environment


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    return load_settings()


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.models == ("compact",)
    assert settings.max_upload_bytes == 20 * 1024 * 1024
    assert settings.max_pixels == 50_000_000
    assert 1 <= settings.engine_threads <= available_cores()


@pytest.mark.parametrize("text", ["50e6", "50000000", "5e7", "50000000.0"])
def test_pixels_may_be_written_with_an_exponent(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert load(monkeypatch, MAX_PIXELS=text).max_pixels == 50_000_000


def test_models_are_a_comma_list(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, MODELS=" compact:v1 , vit-gpt2,")
    assert settings.models == ("compact:v1", "vit-gpt2")
    assert settings.model_names == ("compact", "vit-gpt2")


def test_origins_are_a_comma_list_as_browsers_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch).cors_origins == load(monkeypatch, CORS_ORIGINS="").cors_origins == ()
    settings = load(monkeypatch, CORS_ORIGINS="https://App.example/, http://[::1]:8080,")
    assert settings.cors_origins == ("https://app.example", "http://[::1]:8080")
    assert load(monkeypatch, CORS_ORIGINS="*").cors_origins == ("*",)


def test_a_matcher_is_no_captioner(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, MODELS="compact", MATCHER=" bridgetower:v1 ")
    assert (settings.matcher, settings.matcher_name) == ("bridgetower:v1", "bridgetower")
    assert settings.served_names == ("compact", "bridgetower")
    settings = load(monkeypatch, MATCHER="")
    assert settings.matcher_name == "" and settings.served_names == ("compact",)


def test_cores_are_shared_among_engine_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.base.settings.available_cores", lambda: 8)
    assert load(monkeypatch, ENGINE_WORKERS="3").engine_threads == 2
    assert load(monkeypatch, ENGINE_WORKERS="20").engine_threads == 1
    assert load(monkeypatch, THREADS="5").engine_threads == 5
    # Empty is unset, as compose files have it.
    assert load(monkeypatch, ENGINE_WORKERS="", THREADS="").engine_workers is None


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("MAX_PIXELS", "many", "integer"),
        ("MAX_PIXELS", "1.5", "integer"),
        ("MAX_PIXELS", "inf", "integer"),
        ("MAX_PIXELS", "-3", "greater than or equal to 1"),
        ("MAX_UPLOAD_MB", "0", "greater than 0"),
        ("MAX_UPLOAD_MB", "nan", "equal to 1024"),
        ("MAX_BATCH_SIZE", "1", "greater than or equal to 2"),
        ("MAX_LATENCY_MS", "soon", "integer"),
        ("MAX_CONCURRENCY", "0", "greater than or equal to 1"),
        ("ENGINE_WORKERS", "100", "less than or equal to 64"),
        ("TIMEOUT_S", "-1", "greater than 0"),
        ("THREADS", "half", "integer"),
        ("MODELS", " , ", "at least one"),
        ("MODELS", "a:1,a:2", "more than once"),
        ("MODELS", "../etc", "no name of a model"),
        ("MATCHER", "../etc", "no name of a model"),
        ("CORS_ORIGINS", "app.example", "no origin"),
        ("CORS_ORIGINS", "https://app.example/path", "no origin"),
        ("CORS_ORIGINS", "https://*.example", "no origin"),
        ("MATCHER", "compact:7", "named in CAPTIONBOX_MODELS as well"),
    ],
)
def test_bad_values_are_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, limit: str
) -> None:
    with pytest.raises(SettingsError) as error:
        load(monkeypatch, **{name: value})
    message = str(error.value)
    assert message.startswith(f"{PREFIX}{name}: ")
    assert limit in message and repr(value) in message
    assert "\n" not in message


def test_every_bad_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as error:
        load(monkeypatch, MAX_PIXELS="x", THREADS="y")
    assert f"{PREFIX}MAX_PIXELS" in str(error.value) and f"{PREFIX}THREADS" in str(error.value)


def test_a_misspelt_name_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load(monkeypatch, MAX_UPLOAD="3")
    assert "did you mean CAPTIONBOX_MAX_UPLOAD_MB?" in caplog.text


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and field.description.endswith("."), name


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_pixels": "-3"}, "captionbox: CAPTIONBOX_MAX_PIXELS: input should be greater"),
        ({}, "captionbox: no model 'compact' in the BentoML model store"),
    ],
)
def test_serve_ends_with_one_line_on_a_bad_start(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    assert_start_fails(tmp_path, settings, said)


def test_a_matcher_among_the_models_ends_the_start(matching_home: Path) -> None:
    said = (
        "captionbox: CAPTIONBOX_MODELS: bridgetower:test is a matcher (method bridgetower) and "
        "writes no captions; name it in CAPTIONBOX_MATCHER"
    )
    assert_start_fails(matching_home, {"models": "compact,bridgetower"}, said)


def assert_start_fails(home: Path, settings: dict[str, str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "service:Captioner", "--port", "0"],
        cwd=ROOT,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    output = (done.stdout + done.stderr).strip()
    assert output.startswith(said)
    assert len(output.splitlines()) == 1
