"""Drawn scenes for the picture of the web page in the README: no photographs, nobody's rights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 960, 720
_FINE = 2
"""Shapes are drawn this many times as large, and shrunk, for smooth edges."""

Canvas = NDArray[np.float64]
"""`[HEIGHT, WIDTH, 3]`, 0..255."""
Colour = tuple[int, int, int]
Point = tuple[float, float]


class _Scene:
    """A picture in the making."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def clouds(self, size: float, height: int = HEIGHT, stretch: float = 1.0) -> Canvas:
        """Return soft noise, `[height, WIDTH, 1]`, 0..1; `size` is that of its largest blots."""
        total = np.zeros((height, WIDTH))
        for octave in range(5):
            cell = max(2.0, size / 2**octave)
            shape = (int(height / cell) + 2, int(WIDTH / cell / stretch) + 2)
            blots = Image.fromarray((self._random.random(shape) * 255).astype(np.uint8))
            wide = blots.resize((WIDTH, height), Image.Resampling.BICUBIC)
            total += np.asarray(wide) / 255 / 2**octave
        return (total / 1.9375)[..., None]

    def grain(self, height: int, strength: float) -> Canvas:
        """Return fine noise around 0."""
        return self._random.normal(0, strength, (height, WIDTH, 1))

    def sky(self) -> Canvas:
        """Return a blue sky with white clouds."""
        white = np.clip((self.clouds(260) - 0.5) * 4, 0, 1) * 0.8
        return _fade((70, 130, 205), (190, 215, 240)) * (1 - white) + 255 * white


def _fade(top: Colour, bottom: Colour, height: int = HEIGHT) -> Canvas:
    weight = np.linspace(0, 1, height)[:, None, None]
    return (np.array(top) * (1 - weight) + np.array(bottom) * weight) * np.ones((1, WIDTH, 1))


def _image(canvas: Canvas) -> Image.Image:
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _blurred(canvas: Canvas, radius: float) -> Canvas:
    return np.asarray(_image(canvas).filter(ImageFilter.GaussianBlur(radius))).astype(float)


class _Shapes:
    """Shapes laid over a canvas."""

    def __init__(self) -> None:
        self._layer = Image.new("RGBA", (WIDTH * _FINE, HEIGHT * _FINE), (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self._layer)

    def polygon(self, colour: Colour, *points: Point) -> None:
        self._pen.polygon([(x * _FINE, y * _FINE) for x, y in points], fill=colour)

    def line(self, colour: Colour, width: float, *points: Point) -> None:
        scaled = [(x * _FINE, y * _FINE) for x, y in points]
        self._pen.line(scaled, fill=colour, width=int(width * _FINE))

    def ellipse(self, colour: Colour, x: float, y: float, rx: float, ry: float) -> None:
        box = (x - rx, y - ry, x + rx, y + ry)
        self._pen.ellipse([edge * _FINE for edge in box], fill=colour)

    def text(self, colour: Colour, x: float, y: float, size: float, words: str) -> None:
        font = ImageFont.load_default(size * _FINE)
        place = (x * _FINE, y * _FINE)
        self._pen.text(place, words, fill=colour, anchor="mm", font=font, stroke_width=3)

    def over(self, canvas: Canvas) -> Image.Image:
        layer = self._layer.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        layer = layer.filter(ImageFilter.GaussianBlur(0.6))
        base = _image(canvas).convert("RGBA")
        base.alpha_composite(layer)
        return base.convert("RGB")


def airplane() -> Image.Image:
    """An airplane among clouds."""
    s, white, shade = _Shapes(), (235, 238, 242), (205, 210, 218)
    s.polygon(white, (250, 420), (640, 300), (690, 300), (700, 318), (300, 450))
    s.ellipse(white, 690, 309, 28, 14)
    s.polygon(shade, (430, 378), (330, 520), (372, 515), (540, 348))
    s.polygon(shade, (470, 345), (400, 250), (432, 248), (560, 322))
    s.polygon((190, 40, 45), (255, 425), (215, 330), (248, 330), (310, 402))
    s.polygon(shade, (262, 428), (205, 455), (222, 462), (300, 440))
    for window in range(12):
        s.ellipse((60, 70, 90), 380 + window * 24, 392 - window * 7.3, 5, 5)
    s.ellipse((150, 155, 165), 430, 455, 26, 11)
    return s.over(_Scene(3).sky())


def beach() -> Image.Image:
    """Somebody on a beach at sunset."""
    scene, horizon, shore = _Scene(11), 330, 530
    canvas = np.zeros((HEIGHT, WIDTH, 3))
    red = np.clip((scene.clouds(300, horizon, 3) - 0.5) * 4, 0, 1) * 0.5
    canvas[:horizon] = _fade((60, 60, 120), (255, 170, 90), horizon) * (1 - red)
    canvas[:horizon] += red * np.array((255, 150, 120))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    distance = np.hypot(x - 480, y - 290)
    canvas += np.exp(-distance / 120)[..., None] * np.array((120, 90, 40))
    canvas[:horizon][distance[:horizon] < 44] = (255, 244, 210)
    sea = shore - horizon
    waves = (scene.clouds(18, sea, 7) - 0.5) * 110
    glitter = np.exp(-np.abs(x[horizon:shore] - 480) / 60)[..., None]
    glitter = glitter * (scene.clouds(10, sea, 6) > 0.5) * 110
    canvas[horizon:shore] = _fade((210, 130, 90), (60, 70, 110), sea) + waves + glitter
    sand = HEIGHT - shore
    canvas[shore:] = _fade((150, 115, 85), (110, 80, 60), sand) + scene.grain(sand, 6)
    s, dark = _Shapes(), (25, 20, 30)
    s.ellipse(dark, 620, 470, 13, 15)
    s.polygon(dark, (606, 486), (634, 486), (640, 560), (600, 560))
    s.polygon(dark, (602, 555), (616, 555), (612, 640), (600, 640))
    s.polygon(dark, (624, 555), (638, 555), (644, 640), (632, 640))
    s.polygon(dark, (606, 490), (590, 545), (597, 548), (612, 505))
    s.polygon(dark, (634, 490), (652, 545), (645, 548), (628, 505))
    return s.over(canvas)


def clock() -> Image.Image:
    """A clock on a tiled wall."""
    wall = _fade((200, 170, 130), (170, 140, 105)) + (_Scene(5).clouds(30) - 0.5) * 40
    joints = (np.arange(WIDTH)[None, :] % 120 < 4) | (np.arange(HEIGHT)[:, None] % 60 < 4)
    wall[joints] *= 0.75
    s, black = _Shapes(), (20, 20, 20)
    s.ellipse((120, 98, 74), 490, 372, 254, 254)
    s.ellipse((60, 45, 35), 480, 360, 250, 250)
    s.ellipse((248, 246, 238), 480, 360, 225, 225)

    def at(degrees: float, radius: float) -> Point:
        turn = math.radians(degrees)
        return 480 + radius * math.sin(turn), 360 - radius * math.cos(turn)

    for minute in range(60):
        long = minute % 5 == 0
        s.line(black, 5 if long else 2, at(minute * 6, 190 if long else 205), at(minute * 6, 215))
    for hour in range(1, 13):
        s.text(black, *at(hour * 30, 160), 42, str(hour))
    s.line(black, 18, (480, 360), at(305, 110))
    s.line(black, 12, (480, 360), at(60, 170))
    s.ellipse(black, 480, 360, 14, 14)
    return s.over(wall)


def skier() -> Image.Image:
    """A skier on a slope, mountains behind."""
    scene = _Scene(9)
    canvas = scene.sky()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ridge = 300 + 440 * (scene.clouds(400, 1)[0, :, 0] - 0.5)
    rock = np.where(scene.clouds(60) > 0.52, (235.0, 240, 250), (95.0, 105, 125))
    canvas = np.where((y > ridge[None])[..., None], rock, canvas)
    snow = (245 + (scene.clouds(200) - 0.5) * 40) * np.array((0.96, 0.98, 1.0))
    canvas = np.where((y > 430 + 0.18 * (x - 480))[..., None], snow, canvas)
    s, dark, red, pole = _Shapes(), (30, 40, 60), (205, 40, 45), (60, 60, 70)
    s.line(dark, 6, (400, 598), (620, 650))
    s.line(dark, 6, (390, 618), (600, 668))
    legs = ((470, 520), (510, 515), (530, 580), (520, 632), (500, 628), (502, 585), (470, 560))
    s.polygon(dark, *legs, (480, 610), (462, 606), (448, 550))
    s.polygon(red, (455, 420), (510, 420), (520, 525), (460, 530))
    s.ellipse((245, 200, 60), 490, 400, 22, 24)
    s.ellipse((40, 40, 50), 500, 404, 14, 9)
    s.line(red, 13, (510, 440), (560, 490), (590, 480))
    s.line(pole, 3, (590, 460), (540, 640))
    s.line(red, 13, (460, 440), (420, 490), (400, 480))
    s.line(pole, 3, (400, 465), (360, 630))
    return s.over(canvas)


def stop_sign() -> Image.Image:
    """A stop sign before a wooded hill."""
    scene = _Scene(7)
    woods = np.array((60, 95, 45)) * (0.5 + scene.clouds(70))
    hill = np.arange(HEIGHT)[:, None, None] > 430 - 60 * scene.clouds(200)
    canvas = _blurred(np.where(hill, woods, scene.sky()), 5)
    s, white = _Shapes(), (250, 250, 250)
    s.polygon((130, 132, 135), (468, 400), (492, 400), (492, 720), (468, 720))

    def octagon(radius: float) -> Sequence[Point]:
        turns = [math.pi / 8 + corner * math.pi / 4 for corner in range(8)]
        return [(480 + radius * math.cos(t), 270 + radius * math.sin(t)) for t in turns]

    s.polygon(white, *octagon(190))
    s.polygon((190, 25, 35), *octagon(176))
    s.text(white, 480, 268, 118, "STOP")
    return s.over(canvas)


def dog() -> Image.Image:
    """A brown dog on the grass."""
    scene, horizon = _Scene(13), 230
    canvas = np.zeros((HEIGHT, WIDTH, 3))
    canvas[:horizon] = _blurred(np.array((50, 90, 45)) * (0.5 + scene.clouds(90, horizon)), 8)
    lawn = HEIGHT - horizon
    grass = _fade((110, 160, 60), (60, 115, 35), lawn) + (scene.clouds(60, lawn) - 0.5) * 70
    canvas[horizon:] = _blurred(grass + scene.grain(lawn, 18), 1)
    s, brown, dark, black = _Shapes(), (125, 78, 42), (95, 58, 30), (20, 18, 18)
    s.ellipse((62, 104, 40), 500, 578, 205, 16)
    s.polygon(dark, (365, 430), (330, 560), (352, 566), (405, 450))
    s.polygon(dark, (420, 440), (445, 575), (467, 575), (470, 440))
    s.polygon(dark, (600, 430), (590, 570), (612, 572), (650, 440))
    s.polygon(dark, (650, 420), (700, 555), (722, 548), (690, 410))
    s.ellipse(brown, 510, 390, 180, 72)
    s.ellipse(brown, 650, 380, 75, 80)
    s.ellipse(brown, 385, 400, 70, 72)
    s.polygon(brown, (650, 340), (720, 250), (790, 300), (720, 420))
    s.ellipse(brown, 770, 262, 58, 48)
    s.ellipse((165, 112, 66), 826, 280, 40, 26)
    s.ellipse(black, 858, 272, 12, 10)
    s.ellipse(black, 782, 246, 8, 9)
    s.ellipse(dark, 732, 275, 22, 50)
    s.polygon(brown, (340, 380), (230, 280), (222, 292), (330, 410))
    s.polygon((190, 30, 40), (690, 330), (735, 385), (728, 398), (680, 350))
    s.polygon((225, 110, 120), (835, 304), (850, 330), (862, 318), (850, 298))
    return s.over(canvas)


SCENES: tuple[Callable[[], Image.Image], ...] = (airplane, beach, skier, stop_sign, dog, clock)
