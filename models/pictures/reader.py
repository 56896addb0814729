"""Opens and decodes pictures: side data never decides, and pixels are right or refused.

Metadata, profiles, previews, comments and later pictures are left out before Pillow sees a file, so
nothing in them can make a picture unreadable or cost anything; of all that, only how the picture
has to be turned is kept. Where Pillow would go on with pixels that are not there, or are not what
the file means, that is found out here.
"""

from __future__ import annotations

import io

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from models.pictures import deep_colour, jpeg, orientation, other_formats, png, tiff
from models.pictures.header_guard import check_header
from models.pictures.jpeg import Jpeg
from models.pictures.kinds import FORMATS, PictureError, kind_of, refusals, truncated
from models.pictures.png import Png

_PLAIN = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that no other plugin of Pillow's could take a file for."""


class Picture:
    """A picture whose header has been read.

    Args:
        data: the file's content, or so much of its beginning as holds its header.

    Attributes:
        image: opened by Pillow, without side data; decoded after `load`. `turn_of` knows how it
            has to be turned.
        format: Pillow's name of the file's format.
        size: width and height in pixels, as the picture is seen upright.

    Raises:
        PictureError: it is none, or its header is damaged.
        MemoryError: there is too little.
    """

    image: Image.Image

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._jpeg: Jpeg | None = None
        self._png: Png | None = None
        self._deep = ""
        with refusals(data):
            if not data:
                raise PictureError("broken", "The file is empty.")
            check_header(data)
            self._kind = kind_of(data)
            self._stripped, turn = self._without_side_data()
            try:
                opened = self._open()
            except UnidentifiedImageError:
                if self._kind == "TIFF" and tiff.is_of_unread_kind(self._stripped):
                    reason = "The file is a TIFF with samples of a kind that is not read here"
                    raise PictureError("unsupported", reason) from None
                raise
            self.image, self.format = opened, opened.format or "unknown"
            if self.format == "AVIF":
                # Pillow says so how the container asks for it.
                turn = orientation.from_exif(opened.info.get("exif", b"")) or turn
            opened.info[orientation.ORIENTATION] = turn
            self._look_at_pixels(opened)
        width, height = opened.size
        swaps = orientation.turn_of(opened) in orientation.SWAPPING
        self.size = (height, width) if swaps else (width, height)

    def load(self) -> Image.Image:
        """Decode the first frame and return it, neither turned nor converted.

        Raises:
            PictureError: it is damaged, or pixels are missing.
            MemoryError: there is too little.
        """
        with refusals(self._data):
            if self._jpeg is not None and jpeg.lacks_scans(self._jpeg):
                raise truncated()
            if self._jpeg is not None and jpeg.has_hole(self._jpeg):
                raise PictureError(
                    "broken", "The picture is damaged: a part of it was never written."
                )
            self.image.load()
            if self._jpeg is not None and jpeg.lacks_pixels(self._jpeg, self.image):
                raise truncated()
            if self._png is not None and png.lacks_rows(self._png, self.image):
                raise truncated()
            if self._deep:
                self.image = deep_colour.brightened(self.image, self._deep, self._open)
        return self.image

    def _without_side_data(self) -> tuple[bytes, int]:
        """Return the file without side data, and how the picture has to be turned."""
        data = self._data
        if self._kind == "JPEG":
            self._jpeg = jpeg.without_side_data(data)
            return self._jpeg.data, self._jpeg.orientation
        if self._kind == "PNG":
            self._png = png.without_side_data(data)
            return self._png.data, self._png.orientation
        if self._kind == "WEBP":
            return other_formats.without_webp_side_data(data)
        if self._kind == "TIFF":
            return tiff.without_side_data(data)
        if self._kind == "GIF":
            data = other_formats.without_gif_side_data(data)
        elif self._kind in ("AVIF", "HEIF"):
            data = other_formats.without_side_items(data)
        return data, orientation.UPRIGHT

    def _open(self) -> ImageFile.ImageFile:
        formats = (self._kind,) if self._kind in _PLAIN and self._kind in FORMATS else FORMATS
        return Image.open(io.BytesIO(self._stripped), formats=formats)

    def _look_at_pixels(self, opened: ImageFile.ImageFile) -> None:
        """Find out how the pixels lie where that is not always as Pillow takes it."""
        if isinstance(opened, TiffImagePlugin.TiffImageFile):
            self._deep = tiff.deep_raw_mode(opened)
            tiff.settle(opened, self._stripped)
        elif self._png is not None and self._png.pixels and png.has_deep_colour(self._png):
            self._deep = deep_colour.raw_mode(opened)
