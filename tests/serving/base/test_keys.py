"""API keys: their written form, the command that makes them, files that change."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from pathlib import Path

import pytest

from serving.base.environment import SettingsError, load_settings
from serving.base.keys import (
    ApiKey,
    KeyFormatError,
    KeyRing,
    make_entry,
    parse_entries,
    read_key_file,
)
from serving.keys import main

ANNA, BERT = "anna's key of 24 letters", "bert's key of 24 letters"


def entries(*pairs: tuple[str, str]) -> str:
    return "\n".join(make_entry(name, key) for name, key in pairs)


# --- form ----------------------------------------------------------------------------------------


def test_entries_are_read() -> None:
    text = f"# who\r\n{make_entry('anna', ANNA)}, {make_entry('bert', BERT).upper()} # why\n\n"
    anna, bert = parse_entries(text)
    assert anna == ApiKey("anna", hashlib.sha256(ANNA.encode()).digest())
    assert (bert.name, bert.digest) == ("BERT", hashlib.sha256(BERT.encode()).digest())
    assert "digest" not in repr(anna)
    assert parse_entries("") == parse_entries(" ,\n# nothing") == ()


def test_one_name_may_have_two_keys_but_a_key_only_one_name() -> None:
    assert len(parse_entries(entries(("anna", ANNA), ("anna", BERT)))) == 2
    with pytest.raises(KeyFormatError, match="entry 2 has the same key"):
        parse_entries(entries(("anna", ANNA), ("bert", ANNA)))


@pytest.mark.parametrize(
    "secret",
    [
        "captionbox-7rNBQaEv3JpQMbV1qFM3Xg4hyucJghiMq8Zw0sxBY",
        "anna:captionbox-7rNBQaEv3JpQMbV1qFM3Xg4hyucJghiMq8Zw0sxBY",
        "anna:" + "0" * 63,
        "anna:" + "0" * 65,
        "anna:" + "g" * 64,
        ":" + "0" * 64,
        "an na:" + "0" * 64,
        "-anna:" + "0" * 64,
        "a" * 65 + ":" + "0" * 64,
        "anna:\u0660" + "0" * 63,
    ],
)
def test_what_is_no_entry_is_refused_and_not_repeated(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = os.fsdecode(secret.encode())  # as this system has it: bytes, without UTF-8
    monkeypatch.setenv("CAPTIONBOX_API_KEYS", make_entry("bert", BERT) + "," + secret)
    with pytest.raises(SettingsError, match="entry 2 is not `name:sha256`") as refused:
        load_settings()
    assert secret not in str(refused.value) and "python -m serving.keys new" in str(refused.value)
    assert refused.value.__cause__ is None


def test_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAPTIONBOX_API_KEYS", "")
    monkeypatch.setenv("CAPTIONBOX_API_KEYS_FILE", "")
    settings = load_settings()
    assert settings.api_keys == () and settings.api_keys_file is None
    file = tmp_path / "keys"
    file.write_text(entries(("bert", BERT)))
    monkeypatch.setenv("CAPTIONBOX_API_KEYS", make_entry("anna", ANNA))
    monkeypatch.setenv("CAPTIONBOX_API_KEYS_FILE", str(file))
    settings = load_settings()
    assert [key.name for key in settings.api_keys] == ["anna"]
    assert settings.api_keys_file == file


@pytest.mark.parametrize("keys", [",", " ", "# none yet"])
def test_set_but_without_a_key_is_not_an_open_door(
    keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIONBOX_API_KEYS", keys)
    if keys.strip():
        with pytest.raises(SettingsError, match="CAPTIONBOX_API_KEYS: names no key"):
            load_settings()
    else:
        assert load_settings().api_keys == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the file cannot be read: No such file"),
        (b"", "the file names no key"),
        (b"# none yet\n", "the file names no key"),
        (b"\xff\xfe", "the file is not text"),
        (b"anna:0\n", "entry 1 is not"),
        (b"#" * (1024 * 1024 + 1), "the file is over 1 MiB"),
    ],
)
def test_files_that_stop_the_start(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KeyFormatError, match=said):
        read_key_file(file)
    monkeypatch.setenv("CAPTIONBOX_API_KEYS_FILE", str(file))
    with pytest.raises(SettingsError, match=f"CAPTIONBOX_API_KEYS_FILE: {said}"):
        load_settings()


# --- command -------------------------------------------------------------------------------------


def test_new_makes_a_key_and_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    keys = []
    for _ in range(2):
        assert main(["new", "anna"]) == 0
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        key, entry = lines[1], lines[3]
        assert KeyRing(parse_entries(entry)).name_of([key.encode()]) == "anna"
        keys.append(key)
    assert keys[0] != keys[1] and all(len(key) >= 43 for key in keys)


def test_entry_of_a_key_of_ones_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("mine-mine-mine-mine-mine\n"))
    assert main(["entry", "anna"]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == make_entry("anna", "mine-mine-mine-mine-mine")
    for bad in ("short", "with a blank in the middle of it", "ümläuts-are-not-for-headers"):
        monkeypatch.setattr("sys.stdin", io.StringIO(bad + "\n"))
        with pytest.raises(SystemExit):
            main(["entry", "anna"])
    with pytest.raises(SystemExit):
        main(["new", "an:na"])


# --- who it is -----------------------------------------------------------------------------------


def test_names_are_found_among_several_candidates() -> None:
    ring = KeyRing(parse_entries(entries(("anna", ANNA), ("bert", BERT))))
    assert ring.name_of([b"x", BERT.encode()]) == "bert"
    assert ring.name_of([ANNA.encode(), BERT.encode()]) == "anna"
    assert ring.name_of([]) is ring.name_of([b"", b"x" * 60_000, b"\xff"]) is None
    # The hash is no key.
    assert ring.name_of([hashlib.sha256(ANNA.encode()).hexdigest().encode()]) is None
    assert ring and not KeyRing(())


def test_every_key_is_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return a == b

    ring = KeyRing(parse_entries(entries(("anna", ANNA), ("bert", BERT), ("carl", "c" * 24))))
    monkeypatch.setattr("serving.base.keys.hmac.compare_digest", compare)
    for candidate in (ANNA, "c" * 24, "nobody's"):
        compared.clear()
        ring.name_of([candidate.encode()])
        assert len(compared) == 3


# --- files that change ---------------------------------------------------------------------------


def test_a_changed_file_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text(entries(("bert", BERT)))
    ring = KeyRing(parse_entries(make_entry("anna", ANNA)), file)

    def who() -> list[str | None]:
        return [ring.name_of([key.encode()]) for key in (ANNA, BERT, "c" * 24)]

    assert who() == ["anna", "bert", None]
    with caplog.at_level(logging.INFO):
        file.write_text(entries(("carl", "c" * 24)))
        assert who() == ["anna", None, "carl"]
        assert "read anew: 1 in the file" in caplog.text
        # A slip changes nothing, and is told once.
        file.write_text("carl:oops-the-key-itself")
        assert who() == who() == ["anna", None, "carl"]
        file.unlink()
        assert who() == who() == ["anna", None, "carl"]
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 2 and "oops" not in caplog.text
    # As Kubernetes does it: another file behind the same link.
    for name, key in (("bert", BERT), ("anna2", "d" * 24)):
        (tmp_path / name).write_text(entries((name, key)))
    file.symlink_to(tmp_path / "bert")
    assert who() == ["anna", "bert", None]
    (tmp_path / "new").symlink_to(tmp_path / "anna2")
    (tmp_path / "new").replace(file)
    assert who() == ["anna", None, None]
