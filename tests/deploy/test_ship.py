"""From laptop to server for real: image, ssh, compose, nginx with TLS, updates, faults.

The tests run in order; each leaves the server serving.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from serving.base.settings import Settings
from serving.base.version import __version__
from serving.http.problem_answers import MEDIA_TYPE
from tests.deploy.conftest import KEY, Shipping
from tests.deploy.engine import Engine
from tests.deploy.programs import run, wait_until
from tests.deploy.vps import HERE, THERE
from tests.drawings import draw, encode

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(1800)]

Tell = Callable[[str], None]
PICTURE = encode(draw("red ring", 640), "JPEG")
FLOOD = """
import httpx
client = httpx.Client(verify=False)
answers = [client.post("https://127.0.0.1/caption", content=b"") for _ in range(12)]
refused = [answer for answer in answers if answer.status_code == 429]
print(len(refused))
if refused:
    print(refused[0].headers["Retry-After"], refused[0].json()["type"])
"""


# --- the image ------------------------------------------------------------------------------------


def test_the_image(image: str, laptop: Engine, tell: Tell) -> None:
    found = json.loads(laptop.docker("image", "inspect", image))[0]
    config = found["Config"]
    labels = {k.removeprefix("org.opencontainers.image."): v for k, v in config["Labels"].items()}
    assert labels["licenses"] == "Apache-2.0" and labels["version"] == "test-1"
    assert re.fullmatch("[0-9a-f]{40}", labels["revision"])
    assert config["User"] == "1034:1034" and config["StopSignal"] == "SIGTERM"
    assert "/app/healthcheck.py" in config["Healthcheck"]["Test"]
    layers = laptop.docker("history", "--format", "{{.Size}} {{.CreatedBy}}", image).splitlines()
    big = [f"{size} {by[:40]}" for size, _, by in (line.partition(" ") for line in layers)]
    tell(f"image: {found['Size'] / 1e6:.0f} MB; layers: {', '.join(b for b in big if 'MB' in b)}")
    # 880 MB with a Debian stand-in for the base, which is larger than the real one.
    assert found["Size"] < 1.0e9


# --- the first time -------------------------------------------------------------------------------


def test_the_first_ship_to_an_empty_server(shipping: Shipping, image: str, tell: Tell) -> None:
    assert shipping.vps.docker("images", "-q") == ""
    began = time.monotonic()
    output = shipping.ship("--image", image)
    sent = ", ".join(re.findall(r"(\d+ MB) to send", output))
    tell(f"first ship: {time.monotonic() - began:.0f} s; archives: {sent}")
    assert f"{image} serves" in output
    assert shipping.server()["image"] == image


def test_a_photo_is_captioned_through_tls(shipped: Shipping, web: httpx.Client, tell: Tell) -> None:
    response = web.post("/caption", files={"image": PICTURE})
    assert response.status_code == 200, response.text
    assert response.json()["captions"][0]["text"]
    assert response.headers["Strict-Transport-Security"].startswith("max-age=")
    logs = shipped.vps.docker("logs", shipped.server()["container"])
    loaded = re.search(r"loaded and warmed up in ([\d.]+) s", logs)
    assert loaded is not None
    usage = shipped.vps.docker("stats", "--no-stream", "--format", "{{.MemUsage}}")
    tell(f"start-up: engine loaded and warmed up in {loaded[1]} s")
    tell(f"memory of server and nginx: {', '.join(usage.splitlines())}")


def test_the_proxy(web: httpx.Client) -> None:
    plain = httpx.get(f"http://{THERE}/docs?a=b", follow_redirects=False)
    assert plain.status_code == 308 and plain.headers["Location"] == f"https://{THERE}/docs?a=b"
    for hidden in ("/metrics", "/schema.json"):
        answer = web.get(hidden)
        assert answer.status_code == 404 and answer.headers["Content-Type"] == MEDIA_TYPE
        assert answer.json()["instance"] == hidden
    assert web.get("/v1/models", headers={"X-API-Key": "wrong"}).status_code == 401
    page = web.get("/")
    assert page.status_code == 200 and page.headers["X-Content-Type-Options"] == "nosniff"
    assert "nginx/" not in page.headers["Server"]
    named = web.get("/nowhere", headers={"X-Request-ID": "mine-1"})
    assert named.headers["X-Request-ID"] == "mine-1"


def test_too_large_a_body_is_413_from_both_alike(web: httpx.Client) -> None:
    limit = Settings.model_fields["max_upload_mb"].default * 1024 * 1024
    answer = web.post("/caption", content=b"x" * (limit + 1))
    assert answer.status_code == 413 and answer.headers["Content-Type"] == MEDIA_TYPE
    assert answer.json()["type"] == "/problems/too-large"
    # One of exactly that size gets through to the server.
    assert web.post("/caption", content=b"x" * limit).status_code == 415


def test_events_are_streamed(web: httpx.Client) -> None:
    url = f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    asked = {"model": "compact", "stream": True, "messages": [{"role": "user", "content": content}]}
    with web.stream("POST", "/v1/chat/completions", json=asked) as response:
        lines = [line for line in response.iter_lines() if line]
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert lines[0].startswith("data: {") and lines[-1] == "data: [DONE]"


def test_the_clients_address_is_known(shipped: Shipping, web: httpx.Client) -> None:
    web.get("/v1/models", headers={"X-Request-ID": "who-am-i"})
    nginx = shipped.vps.docker("ps", "-q", "--filter", "label=com.docker.compose.service=nginx")
    (line,) = (
        line for line in shipped.vps.docker("logs", nginx).splitlines() if "who-am-i" in line
    )
    assert line.startswith(f"{HERE} ")


def test_a_flood_gets_429(shipped: Shipping) -> None:
    # From the server itself, over its loopback: that address is not the other tests'.
    command = [*shipped.vps.enter_network, sys.executable, "-c", FLOOD]
    with ThreadPoolExecutor(16) as pool:
        ask = partial(subprocess.run, command, capture_output=True, text=True, check=True)
        outputs = [one.result().stdout.split() for one in [pool.submit(ask) for _ in range(16)]]
    refused = [output for output in outputs if output[0] != "0"]
    assert refused, outputs
    assert {tuple(output[1:]) for output in refused} == {("2", "/problems/too-many-requests")}


def test_a_renewed_certificate_is_taken(shipped: Shipping) -> None:
    folder = shipped.vps.folder / "disk" / "root"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=renewed"
    files = ("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem")
    run("openssl", *words.split(), *files)
    # As certbot calls its hook.
    hook = ("env", "RENEWED_LINEAGE=/root", "/opt/captionbox/update.sh", "--certificate")
    shipped.vps.run(*hook)
    new = (folder / "fullchain.pem").read_text()
    wait_until(lambda: ssl.get_server_certificate((THERE, 443)).split() == new.split(), 30)


def test_only_nginx_can_be_reached_and_the_server_may_do_little(shipped: Shipping) -> None:
    ports = shipped.vps.docker(
        "ps", "--format", '{{.Label "com.docker.compose.service"}} {{.Ports}}'
    )
    for line in ports.splitlines():
        assert line.startswith("nginx") or "->" not in line
    container = shipped.server()["container"]
    found = json.loads(shipped.vps.docker("inspect", container))[0]["HostConfig"]
    assert found["ReadonlyRootfs"] and found["CapDrop"] == ["ALL"] and found["Init"]
    assert found["Memory"] == found["MemorySwap"] == 2 * 1024**3 and found["NanoCpus"] == 2e9
    write = "import pathlib\ntry: pathlib.Path('/app/x').touch()\nexcept OSError as e: print(e)"
    assert "Read-only" in shipped.vps.docker("exec", container, "python3", "-c", write)
    assert shipped.vps.docker("exec", container, "id", "-u") == "1034"


# --- updates --------------------------------------------------------------------------------------


def test_shipping_the_same_again_changes_nothing(shipped: Shipping, image: str) -> None:
    before = shipped.server()
    output = shipped.ship("--image", image)
    assert "active already" in output and "the server has captionbox:test-1" in output
    assert shipped.server() == before
    # Without a name it is the work tree's version, and built if it is not there.
    name = f"captionbox:{__version__}"
    shipped.laptop.docker("tag", image, name)
    output = shipped.ship()
    assert f"{name} is built" in output and f"{name} is active already" in output
    assert shipped.server() == before


def test_an_update_under_load_fails_no_request(shipped: Shipping, tell: Tell) -> None:
    second = shipped.variant("test-2")
    # Cut off while it is sent; then once more.
    process = shipped.start("--image", second)
    time.sleep(6)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    old = shipped.server()
    with shipped.load() as result:
        time.sleep(5)
        began = time.monotonic()
        shipped.ship("--image", second)
        seconds = time.monotonic() - began
        time.sleep(5)
    tell(f"update under load ({seconds:.0f} s): {result}")
    assert result["failed"] == {} and int(str(result["captioned"])) > 20
    new = shipped.server()
    assert new["image"] == second and new["colour"] != old["colour"]
    assert shipped.vps.docker("inspect", "-f", "{{.State.ExitCode}}", old["container"]) == "0"


@pytest.mark.parametrize("fault", ["ends", "hangs"])
def test_a_broken_update_is_rolled_back_under_load(
    shipped: Shipping, fault: str, tell: Tell
) -> None:
    line = {
        "ends": "ENV CAPTIONBOX_MODELS=nothing-of-the-kind",
        "hangs": 'ENTRYPOINT ["sleep", "900"]',
    }[fault]
    broken = shipped.variant(f"test-{fault}", line)
    update = shipped.vps.folder / "disk" / "opt" / "captionbox" / "update.sh"
    if fault == "hangs":
        source = shipped.tree / "deploy" / "update.sh"
        source.write_text(source.read_text().replace("START_SECONDS:-300", "START_SECONDS:-20"))
    before = shipped.server()
    with shipped.load() as result:
        code, output = shipped.try_to_ship("--image", broken)
        time.sleep(3)
    tell(f"broken update ({fault}) under load: exit code {code}, {result}")
    assert code == 1 and f"rolled back, {before['image']} serves on" in output, output
    assert update.is_file() and shipped.server() == before
    assert result["failed"] == {} and int(str(result["captioned"])) > 10


def test_the_version_before_can_be_had_back(shipped: Shipping, web: httpx.Client) -> None:
    output = shipped.ship("--rollback")
    assert "captionbox:test-1 serves" in output
    assert shipped.server()["image"] == "captionbox:test-1"
    assert web.post("/caption", files={"image": PICTURE}).status_code == 200
    kept = shipped.vps.docker("images", "--format", "{{.Tag}}", "captionbox").split()
    assert sorted(kept) == ["test-1", "test-2"]


# --- faults ---------------------------------------------------------------------------------------


def test_a_hanging_engine_is_restarted_by_the_healthcheck(
    shipped: Shipping, web: httpx.Client, tell: Tell
) -> None:
    server = shipped.server()

    def healthy() -> bool:
        state = "{{.State.Health.Status}}"
        return shipped.vps.docker("inspect", "-f", state, server["container"]) == "healthy"

    # What has never been found ready gets far longer: it may be loading its models.
    wait_until(healthy, 60, 1)
    engine = shipped.vps.docker("top", server["container"], "-eo", "pid,args")
    (pid,) = (int(line.split()[0]) for line in engine.splitlines() if "captionbox-engine" in line)
    os.kill(pid, signal.SIGSTOP)

    def restarted() -> bool:
        count = shipped.vps.docker("inspect", "-f", "{{.RestartCount}}", server["container"])
        return count != "0"

    seconds = wait_until(restarted, 240, 1)
    again = wait_until(lambda: web.get("/readyz").status_code == 200, 240, 1)
    tell(f"hanging engine: container restarted after {seconds:.0f} s, ready {again:.0f} s later")
    assert web.post("/caption", files={"image": PICTURE}).status_code == 200


def test_what_is_in_progress_is_finished_at_the_stop(shipped: Shipping, tell: Tell) -> None:
    server = shipped.server()
    with ThreadPoolExecutor(4) as pool, httpx.Client(verify=False, timeout=90) as client:
        asked = [
            pool.submit(
                client.post,
                f"https://{THERE}/caption",
                files={"image": PICTURE},
                data={"num_beams": "8"},
                headers={"X-API-Key": KEY},
            )
            for _ in range(4)
        ]
        time.sleep(0.3)
        began = time.monotonic()
        shipped.vps.docker("stop", "-t", "30", server["container"])
        seconds = time.monotonic() - began
        codes = [one.result().status_code for one in asked]
    tell(f"SIGTERM with four pictures in progress: stopped in {seconds:.1f} s, answers {codes}")
    state = shipped.vps.docker("inspect", "-f", "{{.State.ExitCode}}", server["container"])
    assert codes == [200] * 4 and state == "0"
    shipped.vps.docker("start", server["container"])
    with httpx.Client(base_url=f"https://{THERE}", verify=False, timeout=90) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200, 240, 1)
