"""What cameras write by themselves is no description; what people write is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from captionbox.cli.texts.camera_texts import is_written
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.client.conftest import Captionbox
from tests.client.stand_in import StandIn, caption_of

BY_CAMERAS = [
    "OLYMPUS DIGITAL CAMERA", "OLYMPUS DIGITAL CAMERA         ", "Olympus Digital Camera\0\0",
    "SONY DSC", "_cuva", "default", "SAMSUNG CAMERA PICTURES", "MINOLTA DIGITAL CAMERA",
    "KONICA MINOLTA DIGITAL CAMERA", "Exif_JPEG_PICTURE", "EXIF_JPEG_T422", "hdrpl", "oznorCO",
    "oznorCR", "sdr_HDRB", "btfmdn", "<KENOX S760  / Samsung S760>", "<Digimax i5, Samsung #1>",
    "Maker:0x4c,Date:2017-11-3,Ver:4,Lens:Kan03,Act:Lar01,E-Y", "Created with GIMP", "DSC_0042",
    "IMG_20240131_120000.jpg", "Processed with VSCO with f2 preset", "   ", "", "\0", "-", "...",
    "charset=Ascii", "untitled",
]  # fmt: skip
BY_PEOPLE = [
    "Rex on the beach", "Default settings of the machine", "My Sony DSC on a table", "Montag",
    "An Olympus digital camera", "Untitled No. 5, oil on canvas", "1984", "東京", "❤️", "A",
    "Samsung factory, Suwon", "mon chien", "IMG_2031: Anna", "Processed with love", "Hdr", "Cof",
    "DSC meeting", "None of them came",
]  # fmt: skip


@pytest.mark.parametrize("text", BY_CAMERAS)
def test_by_cameras(text: str) -> None:
    assert not is_written(text)


@pytest.mark.parametrize("text", BY_PEOPLE)
def test_by_people(text: str) -> None:
    assert is_written(text)


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    assert is_written(f"A photograph: {text}")
    assert is_written(text) == is_written(f"  {text}\n")


@pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed: `make programs` gets it"
)
def test_the_real_exiftool(captionbox: Captionbox, tmp_path: Path, stand_in: StandIn) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    texts = {"none": None, "camera": BY_CAMERAS[1], "code": "_cuva", "real": "Rex on the beach"}
    for number, (name, text) in enumerate(texts.items()):
        exif = Image.Exif()
        if text is not None:
            exif[0x10E] = text
        image = Image.effect_noise((40 + number, 40), 90)
        image.save(folder / f"{name}.jpg", exif=exif)
    Image.effect_noise((30, 30), 90).save(folder / "really.png")
    (folder / "really.png").rename(folder / "a png.jpg")
    odd = folder / "caf\udce9.jpg"
    odd.write_bytes((folder / "real.jpg").read_bytes())
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    captionbox("xmp", "photos")
    told = {}
    for path in folder.iterdir():
        command = ["exiftool", "-j", "-XMP-dc:Description", str(path)]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        told[path.name] = found[0].get("Description")
    written = {"none.jpg", "camera.jpg", "code.jpg", "a png.jpg"}
    assert {name for name in told if told[name]} == written
    assert all(told[name] == caption_of(contents[name]) for name in written)
