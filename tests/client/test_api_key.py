"""The client and the command against a real server that wants an API key."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from captionbox import AsyncCaptionbox, AuthenticationError, Captionbox

from tests.asking import PICTURE
from tests.drawings import caption_of
from tests.locked import ANNA, BERT, STRANGER
from tests.server import Server


def test_sdk(locked_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with Captionbox(locked_server.url, api_key=ANNA) as sdk:
        assert sdk.caption(PICTURE).text == caption_of("red ring")
        assert sdk.models()[0].id == "compact"
    monkeypatch.setenv("CAPTIONBOX_API_KEY", BERT)
    with Captionbox(locked_server.url) as sdk:
        assert sdk.caption(PICTURE).text == caption_of("red ring")
    monkeypatch.setenv("CAPTIONBOX_API_KEY", STRANGER)
    with Captionbox(locked_server.url) as sdk, pytest.raises(AuthenticationError) as refused:
        sdk.caption(PICTURE)
    assert refused.value.type == "/problems/unauthorized" and refused.value.request_id
    assert STRANGER not in str(refused.value)


async def ask(locked_server: Server, key: str | None) -> str:
    async with AsyncCaptionbox(locked_server.url, api_key=key) as sdk:
        return (await sdk.caption(PICTURE)).text


def test_async_sdk(locked_server: Server) -> None:
    assert asyncio.run(ask(locked_server, ANNA)) == caption_of("red ring")
    with pytest.raises(AuthenticationError):
        asyncio.run(ask(locked_server, None))


@pytest.mark.parametrize(("key", "status"), [(ANNA, 0), (STRANGER, 3), (None, 3)])
def test_command(
    locked_server: Server,
    tmp_path: Path,
    command_environment: dict[str, str],
    key: str | None,
    status: int,
) -> None:
    (tmp_path / "ring.png").write_bytes(PICTURE)
    env = command_environment | ({} if key is None else {"CAPTIONBOX_API_KEY": key})
    done = subprocess.run(
        ["captionbox", "caption", "ring.png", "-f", "jsonl", "--base-url", locked_server.url],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == status, done.stderr
    if status == 0:
        assert json.loads(done.stdout)["caption"] == caption_of("red ring")
    else:
        assert "401" in done.stderr and STRANGER not in done.stderr
