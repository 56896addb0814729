"""What cameras and programs write into a picture's description by themselves."""

from __future__ import annotations

import re

_WHOLE = frozenset(
    text.strip()
    for text in """
    olympus digital camera|konica minolta digital camera|minolta digital camera
    pentax digital camera|samsung digital camera|casio digital camera|gedsc digital camera
    kodak digital still camera|digital still camera|digital stillcamera|digital camera|still camera
    sony dsc|minolta dsc|dsc|dcim|samsung camera pictures|samsung camera picture|samsung
    exif_jpeg_picture|exif jpeg picture|exif_jpeg_t422|exif_jpeg_t420|my beautiful picture
    created by imlib|created with gimp|created with the gimp|iclarified|applemark|binary comment
    charset=ascii|dvc 10.1 hdmi|lead technologies inc. v1.01|camera 360|untitled|image description
    imagedescription|default|no description|none
    """.replace("\n", "|").split("|")
    if text.strip()
)
"""Whole texts, in small letters."""

# Codes of Huawei's and others' cameras for how a picture was taken. Small letters only: whoever
# writes a word begins it with a capital, or writes more than one.
_CODES = frozenset(
    """
    _cuva hdr hdrpl rhdr sdr sdr_hdrb burst btf btfhdr btfmdn btr cof cofhdr dav edf fbt fbthdr frem
    fshbty frontbhdp fptr mde mde_soft mon nor oznor oznorCO oznorCR oznorWO ptr qrf qhdr rbt rpt
    sdr_HDRB sliveburst srcf swpanorama wdr xptr
    """.split()
)
_PATTERNS = re.compile(
    r"""
    <(digimax|kenox|samsung)\b.*>         # Samsung: model and firmware
    | maker:0x[0-9a-f]+,.*               # Motorola and others: how the picture was taken
    | ozno[a-z]{1,4}                     # Huawei again, with two letters more
    | (img|dsc|dscn|dscf|pict|p|pxl)_?[-\d_]+(\.jpe?g)?   # the name that the camera gave the file
    | processed\ with\ (vsco|moldiv|snapseed)\b.*
    | file\ written\ by\ adobe\ .*
    | [\s\-_.,:;*\#?0]*                   # nothing that can be read
    """,
    re.IGNORECASE | re.VERBOSE,
)


def is_written(text: str) -> bool:
    """Whether somebody has written `text`; what comes from a camera by itself is no description."""
    text = " ".join(text.replace("\0", " ").split())
    if text.lower() in _WHOLE or text in _CODES:
        return False
    return _PATTERNS.fullmatch(text) is None
