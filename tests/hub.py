"""A stand-in for the model hub on this machine: its routes, redirects, refusals and faults.

Speaks what huggingface_hub's client asks of the real one: `api/models/ID/revision/REV` and
`tree/REV`, `resolve` with `X-Repo-Commit`, `ETag`, `X-Linked-*` and a redirect to another host for
large files, range requests there, and `X-Error-Code` in refusals.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.threads import serving

LARGE = 10_000
"""Files of more bytes live on the other host, as LFS files do."""


@dataclass
class Repository:
    """A model's files and who may have them.

    Attributes:
        folder: its files.
        gated: terms must be accepted, and a token given: `token`.
    """

    folder: Path
    gated: bool = False
    token: str = "hf_good"
    revisions: dict[str, str] = field(default_factory=dict)

    def files(self) -> list[str]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def sha(self, revision: str) -> str | None:
        main = hashlib.sha1(str(self.folder).encode()).hexdigest()
        known = {"main": main, main: main, **self.revisions}
        return known.get(revision)


class Hub(ThreadingHTTPServer):
    """Serves `repositories`, by their ids."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.cuts: list[tuple[float, str]] = []
        """How the next answers of the other host break: after what share of the bytes, and by
        `close` or `reset` of the connection, or a `stall` that lasts."""
        self.xet = False
        """Say of large files that another protocol may fetch them too, as the real hub does."""
        self.damage = False
        """Send other bytes than the ETag says."""
        self.asked: list[tuple[str, str, str | None]] = []
        """Method, path and Range of every request."""
        self.leaked: list[str] = []
        """Authorization headers that reached the other host."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def other_host(self) -> str:
        return f"http://localhost:{self.server_address[1]}/cdn"

    def fetched(self) -> list[str]:
        """Return the names of the files whose bytes were asked for, in order."""
        return [path.rsplit("/", 1)[-1] for method, path, _ in self.asked if method == "GET"]


def git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    with serving(hub):
        yield hub


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.route()

    def do_GET(self) -> None:
        self.route()

    def route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if found := re.fullmatch(r"/cdn/(.+)/([^/]+)", path):
            self.large_file(self.server.repositories[found[1]].folder / found[2])
        elif found := re.fullmatch(r"/api/models/(.+?)/tree/(.+)", path):
            self.tree(found[1], found[2])
        elif found := re.fullmatch(r"/api/models/(.+?)(?:/revision/(.+))?", path):
            self.info(found[1], found[2] or "main")
        elif found := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self.resolve(*found.groups())
        else:
            self.refuse(404, "", "no such route")

    def repository(self, name: str) -> Repository | None:
        found = self.server.repositories.get(name)
        if found is None:
            # The real hub does not say whether a repository is missing or private.
            self.refuse(401, "RepoNotFound", "Invalid username or password.")
        return found

    def info(self, name: str, revision: str) -> None:
        repository = self.repository(name)
        if repository is None:
            return
        sha = repository.sha(revision)
        if sha is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        content = {
            "_id": "0" * 24,
            "id": name,
            "modelId": name,
            "sha": sha,
            "private": False,
            "gated": "manual" if repository.gated else False,
            "tags": [],
            "siblings": [{"rfilename": file} for file in repository.files()],
        }
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def tree(self, name: str, revision: str) -> None:
        repository = self.repository(name)
        if repository is None:
            return
        if repository.sha(revision) is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        content = []
        for file in repository.files():
            data = (repository.folder / file).read_bytes()
            entry: dict[str, Any] = {"type": "file", "path": file, "size": len(data)}
            entry["oid"] = git_hash(data)
            if len(data) > LARGE:
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 130}
                if self.server.xet:
                    entry["xetHash"] = sha256
            content.append(entry)
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def resolve(self, name: str, revision: str, file: str) -> None:
        repository = self.repository(name)
        if repository is None:
            return
        sha = repository.sha(revision)
        if repository.gated and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self.refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
            return
        path = repository.folder / file
        if sha is None or not path.is_file():
            self.refuse(404, "EntryNotFound" if sha else "RevisionNotFound", "not found")
            return
        content = path.read_bytes()
        commit = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if len(content) > LARGE:
            linked = {
                "Location": f"{self.server.other_host}/{name}/{file}",
                "X-Linked-Size": str(len(content)),
                "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            }
            if self.server.xet:
                linked["X-Xet-Hash"] = hashlib.sha256(content).hexdigest()
                linked["X-Xet-Refresh-Route"] = f"/api/models/{name}/xet-read-token/{sha}"
            self.answer(302, {**commit, **linked}, b"Found. Redirecting")
        else:
            self.answer(200, {**commit, "ETag": f'"{git_hash(content)}"'}, content)

    def large_file(self, path: Path) -> None:
        if "Authorization" in self.headers:
            self.server.leaked.append(self.headers["Authorization"])
        content = path.read_bytes()
        if self.server.damage:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"ETag": f'"{hashlib.md5(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        start, code = 0, 200
        if wanted and self.headers.get("If-Range") in (None, headers["ETag"]):
            start, code = int(wanted.removeprefix("bytes=").split("-")[0]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(code, headers, content[start:], may_break=True)

    def refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, "Content-Type": "application/json"}
        if code:
            headers["X-Error-Code"] = code
        self.answer(status, headers, json.dumps({"error": message}).encode())

    def answer(
        self, status: int, headers: dict[str, str], body: bytes, may_break: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.server.cuts.pop(0) if may_break and self.server.cuts else None
        if cut is None:
            self.wfile.write(body)
            return
        share, how = cut
        self.wfile.write(body[: int(len(body) * share)])
        self.wfile.flush()
        self.close_connection = True
        if how == "stall":
            self.rfile.read(1)  # returns when the client has gone
        elif how == "reset":
            # No orderly end: the client gets ECONNRESET.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass
