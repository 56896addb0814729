"""deploy/: what its files say, without a container engine. See tests/deploy for the rest."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from deploy import healthcheck, nginx_conf
from serving.base.problems import KINDS
from serving.base.settings import Settings
from serving.http.problem_answers import MEDIA_TYPE
from tests.drawings import caption_of, draw, encode
from tests.server import ROOT, Server, free_port

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PATH = f"/usr/sbin:{os.environ['PATH']}"
NGINX = shutil.which("nginx", path=PATH)

needs_nginx = pytest.mark.skipif(NGINX is None, reason="no nginx: Debian's package `nginx-light`")


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


# --- limits ---------------------------------------------------------------------------------------


def test_nginx_has_the_servers_limits() -> None:
    settings = Settings()
    text = (DEPLOY / "nginx" / "limits.conf").read_text()
    assert text == nginx_conf.limits(settings)
    found = dict(re.findall(r"^(\w+) (\w+);", text, re.MULTILINE))
    assert int(found["client_max_body_size"]) == settings.max_upload_bytes
    # The server's own 504 comes first.
    assert seconds(found["proxy_read_timeout"]) > settings.timeout_s


def test_nginx_speaks_of_problems_as_the_server_does() -> None:
    assert (DEPLOY / "nginx" / "problems.conf").read_text() == nginx_conf.problems()


def test_other_settings_give_other_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = tmp_path / "captionbox.env"
    env.write_text("# comment\nCAPTIONBOX_MAX_UPLOAD_MB=1.5\nCAPTIONBOX_TIMEOUT_S=9\nOTHER=1\n")
    assert set(nginx_conf.read_environment(env)) == {
        "CAPTIONBOX_MAX_UPLOAD_MB",
        "CAPTIONBOX_TIMEOUT_S",
    }
    monkeypatch.setattr("sys.argv", ["nginx_conf", str(tmp_path), str(env)])
    monkeypatch.setattr(os, "environ", {})
    assert nginx_conf.main() == 0
    text = (tmp_path / "limits.conf").read_text()
    assert "client_max_body_size 1572864;" in text and "proxy_read_timeout 14s;" in text


def test_everything_waits_longer_than_what_it_waits_for() -> None:
    settings = Settings()
    stop = settings.stop_s + 5
    for name in ("blue", "green"):
        assert seconds(COMPOSE["services"][name]["stop_grace_period"]) >= stop
    service = (DEPLOY / "captionbox.service").read_text()
    (docker_stop,) = re.findall(r"docker stop --time (\d+)", service)
    (systemd_stop,) = re.findall(r"TimeoutStopSec=(\d+)", service)
    assert stop <= int(docker_stop) < int(systemd_stop)
    assert int(docker_stop) == seconds(COMPOSE["services"]["blue"]["stop_grace_period"])
    nginx = (DEPLOY / "nginx" / "nginx.conf").read_text()
    (old_workers,) = re.findall(r"worker_shutdown_timeout (\w+);", nginx)
    # An upload may pause once, then the server has its time.
    longest = nginx_conf.PAUSE_SECONDS + settings.timeout_s + nginx_conf.ANSWER_SECONDS
    assert seconds(old_workers) >= longest
    (drain,) = re.findall(r"DRAIN_SECONDS:-(\d+)", (DEPLOY / "update.sh").read_text())
    assert int(drain) >= seconds(old_workers)
    (timeout,) = re.findall(r"--timeout=(\d+)s", (DEPLOY / "Dockerfile").read_text())
    assert int(timeout) > healthcheck.ASK_SECONDS


def test_the_two_ways_to_run_it_allow_the_same() -> None:
    service = (DEPLOY / "captionbox.service").read_text()
    blue = COMPOSE["services"]["blue"]
    assert blue == {**COMPOSE["services"]["green"], "image": blue["image"], "profiles": ["blue"]}
    assert blue["read_only"] and "--read-only" in service
    assert blue["init"] and "--init" in service
    assert blue["cap_drop"] == ["ALL"] and "--cap-drop ALL" in service
    assert f"--tmpfs {blue['tmpfs'][0]}" in service
    assert blue["cpus"] == "${CPUS:-2}" and "--cpus 2" in service
    assert blue["mem_limit"] == "${MEMORY:-2g}" and "--memory 2g --memory-swap 2g" in service
    assert "ports" not in blue and "--publish 127.0.0.1:3000:3000" in service


def test_both_ways_to_watch_a_folder_are_commands(tmp_path: Path) -> None:
    from captionbox.cli.app import app
    from typer.testing import CliRunner

    watch = yaml.safe_load((DEPLOY / "watch.yaml").read_text())["services"]["watch"]
    service = (DEPLOY / "captionbox-watch.service").read_text()
    (started,) = re.findall(r"^ExecStart=\S+/captionbox (.*)$", service, re.MULTILINE)
    assert watch["command"] == started.replace("/srv", "").split()
    verb, _, *options = watch["command"]
    done = CliRunner().invoke(app, [verb, str(tmp_path), *options, "--dry-run"])
    assert done.exit_code == 0, done.output
    (systemd_stop,) = re.findall(r"TimeoutStopSec=(\d+)", service)
    assert seconds(watch["stop_grace_period"]) == int(systemd_stop)


# --- scripts --------------------------------------------------------------------------------------


def test_a_dry_run_says_each_step_and_does_nothing(tmp_path: Path) -> None:
    # Without any program that it could do something with.
    bash = shutil.which("bash")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("dirname", "sed"):
        (tools / name).symlink_to(str(shutil.which(name)))
    command = [str(bash), str(DEPLOY / "ship.sh"), "root@192.0.2.1", "--dry-run"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": str(tools)}, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("==> ")]
    assert steps[0] == "==> building the image" and steps[-1] == "==> changing over"


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["a@b", "c@d"]])
def test_ship_explains_itself(arguments: list[str]) -> None:
    done = subprocess.run(
        [DEPLOY / "ship.sh", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "deploy/ship.sh USER@HOST" in done.stdout


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="no shellcheck: Debian's package `shellcheck`"
)
def test_scripts_have_no_known_traps() -> None:
    subprocess.run(["shellcheck", *DEPLOY.glob("*.sh")], check=True)


@pytest.mark.skipif(
    shutil.which("docker-compose") is None,
    reason="no docker-compose: Debian's package `docker-compose`",
)
def test_compose_reads_its_file(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "compose.yaml", tmp_path)
    (tmp_path / "captionbox.env").touch()
    done = subprocess.run(
        ["docker-compose", "config", "--services"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "nginx" in done.stdout.split()
    watch = ["docker-compose", "-f", str(DEPLOY / "watch.yaml"), "config", "--services"]
    done = subprocess.run(watch, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- a real nginx ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxied(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run nginx with our configuration before a server; yield its HTTP and HTTPS addresses."""
    folder = tmp_path_factory.mktemp("nginx")
    for file in (DEPLOY / "nginx").glob("*.conf"):
        shutil.copy(file, folder)
    ports = free_port(), free_port()
    change(folder / "captionbox.conf", "listen 80 ", f"listen 127.0.0.1:{ports[0]} ")
    change(folder / "captionbox.conf", "listen 443 ", f"listen 127.0.0.1:{ports[1]} ")
    change(folder / "captionbox.conf", "/dev/stdout", str(folder / "access.log"))
    for place in ("/tmp/", "/var/cache/captionbox/"):
        change(folder / "nginx.conf", f" {place}", f" {folder}/")
    # Its workers could not look into the tests' folder else.
    user = f"user {getpass.getuser()};\n"
    change(folder / "nginx.conf", "worker_processes", f"{user}worker_processes")
    active = f'map "" $captionbox {{ default 127.0.0.1:{server.port}; }}\n'
    (folder / "active.conf").write_text(active)
    (folder / "certs").mkdir()
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    files = ["-keyout", folder / "certs/privkey.pem", "-out", folder / "certs/fullchain.pem"]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    command = [str(NGINX), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    nginx = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        urls = f"http://127.0.0.1:{ports[0]}", f"https://127.0.0.1:{ports[1]}"
        for _ in range(100):
            try:
                httpx.get(urls[0], timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield urls
    finally:
        nginx.terminate()
        nginx.wait(10)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@needs_nginx
def test_nginx_hands_on_what_is_public(proxied: tuple[str, str]) -> None:
    plain, url = proxied
    moved = httpx.get(f"{plain}/docs?a=b", follow_redirects=False)
    assert moved.status_code == 308 and moved.headers["Location"] == "https://127.0.0.1/docs?a=b"
    with httpx.Client(base_url=url, verify=False, timeout=30) as client:
        answer = client.post("/caption", files={"image": encode(draw("blue cross"))})
        assert answer.json()["captions"][0]["text"] == caption_of("blue cross")
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert client.get("/readyz").status_code == 200
        for hidden in ("/metrics", "/schema.json"):
            problem = client.get(hidden)
            assert problem.status_code == 404 and problem.headers["Content-Type"] == MEDIA_TYPE
            assert problem.json()["instance"] == hidden
        # Nothing of the server's is replaced.
        odd = client.get("/nowhere", headers={"X-Request-ID": "mine"})
        assert odd.json()["request_id"] == odd.headers["X-Request-ID"] == "mine"


@needs_nginx
def test_nginx_refuses_what_the_server_would(proxied: tuple[str, str]) -> None:
    _, url = proxied
    with httpx.Client(base_url=url, verify=False, timeout=30) as client:
        size = Settings().max_upload_bytes
        large = client.post("/caption", content=b"x" * (size + 1))
        assert large.status_code == 413 and large.headers["Content-Type"] == MEDIA_TYPE
        assert large.json()["title"] == KINDS["too-large"].title
        assert client.post("/caption", content=b"x" * size).status_code == 415  # the server's
        answers = [client.post("/caption") for _ in range(80)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and refused[0].json()["title"] == KINDS["too-many-requests"].title
    assert int(refused[0].headers["Retry-After"]) > 0
