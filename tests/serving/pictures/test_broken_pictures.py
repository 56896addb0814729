"""A real server and files that are broken in a thousand ways: the right answer, and good health."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import httpx

from tests.asking import caption, check
from tests.broken_pictures import READ, Sample, corpus, header_bombs
from tests.drawings import NAMES, caption_of, draw, encode
from tests.server import Server

KINDS = {
    415: {"/problems/unsupported-image"},
    422: {"/problems/broken-image", "/problems/too-many-pixels"},
}


def batches(samples: Iterable[Sample], size: int) -> Iterable[list[Sample]]:
    rest = iter(samples)
    while batch := list(islice(rest, size)):
        yield batch


def test_every_broken_file_gets_what_it_deserves(server: Server, client: httpx.Client) -> None:
    """Each batch holds a good picture too, that has to get its own caption."""
    processes = {worker.pid for worker in server.workers("captionbox")}
    memory = sum(worker.memory_info().rss for worker in server.workers("captionbox"))
    wrong, counts = [], dict.fromkeys((200, 415, 422), 0)
    for number, batch in enumerate(batches(corpus(), 31)):
        name = NAMES[number % len(NAMES)]
        place = number % (len(batch) + 1)
        files = [("images", ("x", sample.data)) for sample in batch]
        files.insert(place, ("images", ("good", encode(draw(name)))))
        response = client.post("/caption_batch", files=files)
        assert response.status_code == 200, response.text
        results = response.json()["results"]
        assert len(results) == len(files)
        good = results.pop(place)
        assert good["captions"][0]["text"] == caption_of(name)
        for sample, result in zip(batch, results, strict=True):
            status = result["error"]["status"] if "error" in result else READ
            counts[status] = counts.get(status, 0) + 1
            if status not in sample.statuses:
                wrong.append((sample.name, status, result.get("error", {}).get("detail")))
            elif status != READ:
                assert result["error"]["type"] in KINDS[status]
                assert "Traceback" not in result["error"]["detail"]
    assert not wrong, wrong
    assert sum(counts.values()) > 1000 and min(counts.values()) > 50, counts
    # Healthy afterwards: the same processes, no more memory, no trace of trouble.
    assert {worker.pid for worker in server.workers("captionbox")} == processes
    now = sum(worker.memory_info().rss for worker in server.workers("captionbox"))
    assert now - memory < 150_000_000
    assert "Traceback" not in server.log.read_text(errors="replace")
    assert caption(client).json()["captions"][0]["text"] == caption_of("red ring")


def test_header_bombs_one_by_one(client: httpx.Client) -> None:
    for sample in header_bombs():
        slug = "broken-image" if "AVIF" in sample.name else "too-many-pixels"
        details = check(caption(client, sample.data), 422, slug)
        assert slug == "broken-image" or "50,000,000" in details.detail, sample.name
