"""`captionbox xmp`: descriptions in the files themselves."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of

FAKE = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
if "-j" in arguments:
    files = [one for one in arguments if one.startswith("/")]
    print(json.dumps([{{"SourceFile": one}} | ({{"Description": "old"}} if "old" in one else {{}})
                      for one in files]))
elif "readonly" in arguments[-1]:
    sys.exit("Error: Writing of this type of file is not supported - readonly")
else:
    with open(arguments[-1], "ab") as file:
        file.write(b"described")
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(["a.jpg", "b.png", "old.jpg", "readonly.gif"]):
        Image.effect_noise((32 + number, 32), 90).save(folder / name)
    return folder


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in for exiftool on the path; return its log."""
    log = tmp_path / "exiftool.log"
    program = tmp_path / "bin" / "exiftool"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable, log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return log


def test_new_descriptions(captionbox: Captionbox, photos: Path, fake: Path) -> None:
    content = (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").chmod(0o640)
    (photos / ".captionbox-part-a.jpg").write_bytes(b"left by a process that was killed")
    done = captionbox("xmp", "photos", code=1)
    message = b"photos/readonly.gif: Error: Writing of this type of file is not supported"
    assert done.stderr.startswith(message)
    calls = [json.loads(line) for line in fake.read_text().splitlines()]
    assert calls[0][0] == "-j"
    prefix = ".captionbox-part-"
    written = {Path(call[-1]).name.removeprefix(prefix): call[:-1] for call in calls[1:]}
    assert set(written) == {"a.jpg", "b.png", "readonly.gif"}
    caption = caption_of(content)
    assert written["a.jpg"][-2:] == [
        f"-XMP-dc:Description={caption}",
        f"-IPTC:Caption-Abstract={caption}",
    ]
    assert (photos / "a.jpg").read_bytes() == content + b"described"
    assert (photos / "a.jpg").stat().st_mode & 0o777 == 0o640
    assert len(list(photos.iterdir())) == 4


def test_old_descriptions_on_request(
    captionbox: Captionbox, photos: Path, fake: Path, stand_in: StandIn
) -> None:
    captionbox("xmp", "photos/old.jpg")
    assert not stand_in.asked
    captionbox("xmp", "photos/old.jpg", "--overwrite")
    assert stand_in.asked == {"old.jpg": 1}


def test_what_is_described_during_a_run_is_kept(
    captionbox: Captionbox, photos: Path, fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from captionbox.client import Captionbox as Client

    really = Client.caption

    def meanwhile(self: Client, image: str, **options: object) -> object:
        if image.endswith("a.jpg"):
            (photos / "a.jpg").write_bytes(b"\xff\xd8\xffdescribed by hand")
            fake.parent.joinpath("bin/exiftool").write_text(
                FAKE.format(python=sys.executable, log=str(fake)).replace('"old" in', '"a.jpg" in')
            )
        return really(self, image, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Client, "caption", meanwhile)
    captionbox("xmp", "photos/a.jpg")
    assert (photos / "a.jpg").read_bytes() == b"\xff\xd8\xffdescribed by hand"


def test_nothing_to_describe(captionbox: Captionbox, tmp_path: Path, fake: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert b"no images found in empty" in captionbox("xmp", "empty", code=2).stderr
    (tmp_path / "empty" / "a.jpg").write_bytes(b"\xff\xd8\xff")
    done = captionbox("xmp", "empty", "--exclude", "*.jpg", code=2)
    assert b"no images found in empty" in done.stderr


def test_without_exiftool(
    captionbox: Captionbox, photos: Path, monkeypatch: pytest.MonkeyPatch, stand_in: StandIn
) -> None:
    monkeypatch.setenv("PATH", "")
    done = captionbox("xmp", "photos", code=2)
    assert b"exiftool is not installed" in done.stderr
    assert b"libimage-exiftool-perl" in done.stderr
    assert not stand_in.asked


def test_addresses_have_no_metadata(captionbox: Captionbox, fake: Path) -> None:
    assert b"is not a file" in captionbox("xmp", "http://host/a.jpg", code=2).stderr


@pytest.mark.skipif(
    shutil.which("exiftool") is None,
    reason="no exiftool: Debian's package `libimage-exiftool-perl`",
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff", "-dash ü\n.jpg"])
def test_the_real_exiftool(captionbox: Captionbox, tmp_path: Path, name: str) -> None:
    path = tmp_path / "real" / name
    path.parent.mkdir()
    Image.effect_noise((64, 48), 90).convert("RGB").save(path)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    before = Image.open(path).tobytes()
    caption = caption_of(path.read_bytes())
    captionbox("xmp", "real")
    assert Image.open(path).tobytes() == before
    assert path.stat().st_mtime == 1_000_000_000
    command = ["exiftool", "-j", "-G", "-Description", "-Caption-Abstract", str(path)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
    assert told["XMP:Description"] == caption
    content = path.read_bytes()
    captionbox("xmp", "real")
    assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == [name]
