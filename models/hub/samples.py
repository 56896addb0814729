"""Three drawn pictures that a captioner can be tried on, always the same."""

from __future__ import annotations

from PIL import Image, ImageDraw


def draw_samples() -> dict[str, Image.Image]:
    """Return pictures by what they show; of three shapes, as photographs have them."""
    return {"house": _house(), "ball": _ball(), "sign": _sign()}


def _house() -> Image.Image:
    """Return a house with a red roof under the sun, 640 x 480."""
    image = Image.new("RGB", (640, 480), (135, 190, 235))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 340, 640, 480), fill=(70, 150, 60))
    draw.ellipse((500, 40, 590, 130), fill=(250, 215, 60))
    draw.rectangle((200, 210, 440, 390), fill=(235, 225, 200))
    draw.polygon([(180, 210), (320, 100), (460, 210)], fill=(180, 50, 40))
    draw.rectangle((295, 290, 345, 390), fill=(110, 70, 40))
    for left in (225, 370):
        draw.rectangle((left, 240, left + 45, 285), fill=(90, 130, 170), outline=(60, 60, 60))
    return image


def _ball() -> Image.Image:
    """Return a red ball on a wooden table, 480 x 640."""
    image = Image.new("RGB", (480, 640), (225, 220, 210))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 430, 480, 640), fill=(150, 105, 60))
    draw.ellipse((150, 440, 350, 480), fill=(105, 70, 40))
    for step in range(90):
        shade = (150 + step, 20 + step // 2, 25 + step // 2)
        draw.ellipse((150 + step, 260 + step, 350 - step // 2, 460 - step // 2), fill=shade)
    return image


def _sign() -> Image.Image:
    """Return a red sign with the word STOP on a post, 500 x 375."""
    image = Image.new("RGB", (500, 375), (160, 200, 225))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 310, 500, 375), fill=(110, 110, 112))
    draw.rectangle((244, 180, 256, 330), fill=(140, 140, 145))
    corners = [(210, 60), (290, 60), (346, 116), (346, 184), (290, 240), (210, 240)]
    corners += [(154, 184), (154, 116)]
    draw.polygon(corners, fill=(190, 25, 30), outline=(255, 255, 255))
    draw.text((176, 122), "STOP", fill=(255, 255, 255), font_size=58)
    return image
