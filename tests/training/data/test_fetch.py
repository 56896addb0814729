"""One file from a server that drops connections, changes the file and lies about it."""

import json
from pathlib import Path

import pytest

from tests.training.bad_server import PICTURES, QUICK, Server
from training.data.fetch import DownloadError, fetch


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_dropped_connections_are_resumed_where_they_broke(
    bad_server: Server, tmp_path: Path
) -> None:
    bad_server.drop_after = [100_000, 50_000, 1]
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES
    assert [wanted for _, wanted in bad_server.asked] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
        "bytes=150001-",
    ]
    assert leftovers(tmp_path) == {"v.zip"}


def test_a_later_call_goes_on_too(bad_server: Server, tmp_path: Path) -> None:
    bad_server.drop_after = [100_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"ended after 100000 of .* without progress"):
        fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert not (tmp_path / "v.zip").exists()
    bad_server.asked.clear()
    bad_server.drop_after = []
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES
    assert bad_server.asked == [("/zips/v.zip", "bytes=100000-")]


def test_killed_after_the_last_byte(bad_server: Server, tmp_path: Path) -> None:
    version = {"url": f"{bad_server.url}/zips/v.zip", "validator": '"one"'}
    (tmp_path / "v.zip.part").write_bytes(PICTURES)
    (tmp_path / "v.zip.part.json").write_text(json.dumps(version))
    for size in (len(PICTURES), None):  # known, or learnt from the 416
        fetch(version["url"], tmp_path / "v.zip", size, QUICK)
        assert (tmp_path / "v.zip").read_bytes() == PICTURES
        (tmp_path / "v.zip").rename(tmp_path / "v.zip.part")
        (tmp_path / "v.zip.part.json").write_text(json.dumps(version))


@pytest.mark.parametrize("if_range", [True, False])
def test_changed_file_starts_again(bad_server: Server, tmp_path: Path, if_range: bool) -> None:
    bad_server.drop_after = [100_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)
    changed = bytes(reversed(PICTURES))
    bad_server.files["/zips/v.zip"], bad_server.etag = changed, '"two"'
    bad_server.drop_after, bad_server.if_range = [], if_range
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)
    assert (tmp_path / "v.zip").read_bytes() == changed


def test_file_that_became_shorter_starts_again(bad_server: Server, tmp_path: Path) -> None:
    bad_server.drop_after = [100_000, 0, 0, 0]
    with pytest.raises(DownloadError):
        fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)
    bad_server.files["/zips/v.zip"], bad_server.drop_after = PICTURES[:70_000], []
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES[:70_000]


def test_server_without_ranges(bad_server: Server, tmp_path: Path) -> None:
    bad_server.ranges, bad_server.drop_after = False, [100_000, 50_000]
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_validator_nothing_is_joined(
    bad_server: Server, tmp_path: Path, etag: str | None
) -> None:
    bad_server.etag, bad_server.drop_after = etag, [100_000]
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES
    assert [wanted for _, wanted in bad_server.asked] == [None, None]


def test_the_date_will_do_as_validator(bad_server: Server, tmp_path: Path) -> None:
    bad_server.etag, bad_server.date = None, "Mon, 11 Jul 2017 22:43:17 GMT"
    bad_server.drop_after = [100_000]
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES
    assert bad_server.asked[1][1] == "bytes=100000-"


def test_busy_server_is_asked_again(
    bad_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("training.data.fetch.time.sleep", waits.append)
    bad_server.failures = [(503, {"Retry-After": "7"}), (500, {})]
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", len(PICTURES), QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES
    assert 5 < waits[0] < 9
    assert waits[1] < 0.1


def test_refusals_are_not_repeated(bad_server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="HTTP 404 Not Found"):
        fetch(f"{bad_server.url}/zips/nothing.zip", tmp_path / "x.zip", None, QUICK)
    assert len(bad_server.asked) == 1


def test_unreachable_server_is_named(bad_server: Server, tmp_path: Path) -> None:
    # Nobody listens on the port of a server that was closed.
    closed = Server()
    url = closed.url
    closed.server_close()
    with pytest.raises(DownloadError, match=r"gave up after 3 attempts"):
        fetch(f"{url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)


@pytest.mark.parametrize("url", ["ftp://x/y.zip", "y.zip", "file:///etc/passwd", "http://"])
def test_only_http(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not an http"):
        fetch(url, tmp_path / "x.zip", None, QUICK)


def test_other_size_than_official_is_refused(bad_server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"offers {len(PICTURES)} bytes, expected 5"):
        fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", 5, QUICK)
    assert leftovers(tmp_path) == set()


def test_more_than_was_announced(bad_server: Server, tmp_path: Path) -> None:
    bad_server.length = False
    with pytest.raises(DownloadError, match="more than the expected 5 bytes"):
        fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", 5, QUICK)


def test_length_that_is_never_reached(bad_server: Server, tmp_path: Path) -> None:
    bad_server.say_length, bad_server.ranges = len(PICTURES) + 9, False
    with pytest.raises(DownloadError, match=f"ended after {len(PICTURES)} of"):
        fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)


def test_without_length_the_end_is_the_end(bad_server: Server, tmp_path: Path) -> None:
    bad_server.length = False
    fetch(f"{bad_server.url}/zips/v.zip", tmp_path / "v.zip", None, QUICK)
    assert (tmp_path / "v.zip").read_bytes() == PICTURES
