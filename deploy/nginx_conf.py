"""Write the parts of nginx's configuration that must agree with the server's.

    python -m deploy.nginx_conf DIR [ENV_FILE]

`limits.conf` has the settings' body size and times, the defaults or those of ENV_FILE
(`CAPTIONBOX_…=…` lines, what the container gets); `problems.conf` has nginx's own errors in the
form and the words of the server's. Those in deploy/nginx are made from the defaults; a test
compares.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from serving.base.environment import SettingsError, load_settings
from serving.base.problems import KINDS, RETRY_AFTER_SECONDS, TYPE_PREFIX
from serving.base.settings import PREFIX, Settings
from serving.http.problem_answers import MEDIA_TYPE

ANSWER_SECONDS = 5
"""How much longer nginx waits than the server, whose own 504 says more."""

PAUSE_SECONDS = 60
"""Longest pause within an upload or an answer."""

_PROBLEMS = (
    # What nginx makes of it, the kind, and what happened where the kind's advice would not fit.
    ((400, 414, 431), "malformed-request", None),
    ((404,), "not-found", None),
    ((413,), "too-large", None),
    ((429,), "too-many-requests", "Too many requests came from this address; try again shortly."),
    ((502, 503), "not-ready", None),
    ((504,), "timeout", None),
)


def limits(settings: Settings) -> str:
    """Return the text of `limits.conf` for a server with `settings`."""
    answer = settings.timeout_s + ANSWER_SECONDS
    lines = (
        f"client_max_body_size {settings.max_upload_bytes};",
        f"proxy_read_timeout {answer:.0f}s;",
        f"proxy_send_timeout {PAUSE_SECONDS}s;",
        f"send_timeout {PAUSE_SECONDS}s;",
        f"client_body_timeout {PAUSE_SECONDS}s;",
        "client_header_timeout 30s;",
    )
    return "\n".join((f"# Made by deploy/nginx_conf.py from {PREFIX}… settings.", *lines, ""))


def problems() -> str:
    """Return the text of `problems.conf`."""
    blocks = ["# Made by deploy/nginx_conf.py from serving/base/problems.py."]
    for statuses, slug, detail in _PROBLEMS:
        kind = KINDS[slug]
        body = {
            "type": TYPE_PREFIX + slug,
            "title": kind.title,
            "status": kind.status,
            "detail": detail or kind.advice,
            "instance": "$shown_uri",
            "request_id": "$request_identity",
        }
        # An apostrophe would end nginx's string.
        text = json.dumps(body, separators=(",", ":")).replace("'", r"\u0027")
        retry = f'add_header Retry-After "{RETRY_AFTER_SECONDS}" always;'
        lines = [
            f"error_page {' '.join(map(str, statuses))} @{slug};",
            f"location @{slug} {{",
            f"    default_type {MEDIA_TYPE};",
            '    add_header Cache-Control "no-store" always;',
            '    add_header X-Request-ID "$request_identity" always;',
            *([f"    {retry}"] if kind.status in (429, 503) else []),
            f"    return {kind.status} '{text}';",
            "}",
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def read_environment(file: Path) -> dict[str, str]:
    """Return the settings in an environment file: `NAME=value` lines, `#` begins a comment."""
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name: value for name, value in pairs if name.startswith(PREFIX)}


def main() -> int:
    """Write both files into the directory of the command line."""
    logging.basicConfig(level=logging.INFO, format="==> %(message)s")
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    if len(sys.argv) > 2:
        os.environ.update(read_environment(Path(sys.argv[2])))
    try:
        settings = load_settings()
    except SettingsError as error:
        raise SystemExit(f"nginx_conf: {error}") from None
    directory = Path(sys.argv[1])
    (directory / "limits.conf").write_text(limits(settings), encoding="utf-8")
    (directory / "problems.conf").write_text(problems(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
