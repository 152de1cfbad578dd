"""Where a garment is drawn: its cover, its light and dark, and what lies on it, larger than the picture.

What is drawn is first noted in a `Sketch`, because the same outlines appear in many pictures; a `Canvas` then
places all points of a sketch at once.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ivbpr_numba.worlds.wardrobe.cut import BODY, Line, Part
from ivbpr_numba.worlds.wardrobe.geometry import along

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image, ImageDraw

__all__ = ["PIXELS", "Canvas", "Sketch"]

PIXELS = 128  # of a picture's side
FINE = 3  # all is drawn so much larger, and reduced
RGB = tuple[int, int, int]


class Stroke(NamedTuple):
    """One thing to draw: how, its points, its width in cut units, its tone or its ink's name, its side."""

    kind: str
    begin: int
    end: int
    width: float
    fill: int | str
    side: int = BODY


class Sketch:
    """Notes of what to draw, in cut units."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._n = 0
        self.strokes: list[Stroke] = []

    @cached_property
    def points(self) -> np.ndarray:
        """All points, (n, 2)."""
        return np.concatenate(self._pieces) if self._pieces else np.zeros((0, 2))

    def _note(self, kind: str, points: np.ndarray, width: float, fill: int | str, side: int = BODY) -> None:
        self._pieces.append(np.asarray(points, dtype=np.float64))
        self.strokes.append(Stroke(kind, 2 * self._n, 2 * (self._n + len(points)), width, fill, side))
        self._n += len(points)

    def lay(self, part: Part) -> None:
        """A piece of cloth."""
        self._note("cloth", part.outline, 0.0, part.tone, part.side)

    def seam(self, line: Line) -> None:
        """A darker or brighter line."""
        self.crease(line.points, line.width, line.tone)

    def crease(self, points: np.ndarray, width: float, tone: int) -> None:
        """A line of light or dark."""
        self._note("crease", points, width, tone)

    def shade(self, outline: np.ndarray, tone: int) -> None:
        """An area of light or dark."""
        self._note("shade", outline, 0.0, tone)

    def stroke(self, points: np.ndarray, width: float, ink: str) -> None:
        """A coloured line on the cloth."""
        self._note("stroke", points, width, ink)

    def fill(self, outline: np.ndarray, ink: str) -> None:
        """A coloured area on the cloth."""
        self._note("fill", outline, 0.0, ink)

    def stitch(self, line: np.ndarray, width: float, ink: str, step: float = 0.04) -> None:
        """A dashed coloured line."""
        length = float(np.hypot(*np.diff(line, axis=0).T).sum())
        n = max(2, int(length / step))
        ends = along(line, 6 * n + 1)
        for k in range(n):
            self.stroke(ends[[6 * k + 1, 6 * k + 5]], width, ink)

    def button(self, x: float, y: float, radius: float, ink: str, edge: str) -> None:
        """A round button with a dark edge."""
        for r, fill in ((1.25 * radius, edge), (radius, ink)):
            self._note("disc", np.array([[x, y]]), r, fill)


class Canvas:
    """Layers of one picture.

    Parameters
    ----------
    matrix : (2, 2) array
        Turns and scales the points of a cut.
    offset : (2,) array
        Where the cut's origin lies, in halves of a picture from its middle.
    """

    def __init__(self, matrix: np.ndarray, offset: np.ndarray) -> None:
        from PIL import Image, ImageDraw

        size = PIXELS * FINE
        self._matrix = matrix.T * (size / 2)
        self._offset = (offset + 1) * (size / 2)
        self._unit = size / 2 * float(np.sqrt(abs(np.linalg.det(matrix))))
        self._cover = Image.new("L", (size, size))
        self._tone = Image.new("L", (size, size), 128)
        self._draw_cover = ImageDraw.Draw(self._cover)
        self._draw_tone = ImageDraw.Draw(self._tone)

    @cached_property
    def _sides(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        from PIL import Image, ImageDraw

        made = Image.new("L", self._cover.size)
        return made, ImageDraw.Draw(made)

    @cached_property
    def _top(self) -> tuple[Image.Image, Image.Image, ImageDraw.ImageDraw, ImageDraw.ImageDraw]:
        """Colours on black, and where they are: two images reduce to shares and premultiplied colours."""
        from PIL import Image, ImageDraw

        colours, where = Image.new("RGB", self._cover.size), Image.new("L", self._cover.size)
        return colours, where, ImageDraw.Draw(colours), ImageDraw.Draw(where)

    def paint(self, sketch: Sketch, inks: Mapping[str, RGB]) -> None:
        """Draw a sketch with the inks that its coloured strokes name."""
        at: list[float] = (sketch.points @ self._matrix + self._offset).ravel().tolist()
        tone, unit = self._draw_tone, self._unit
        for kind, begin, end, width, fill, side in sketch.strokes:
            points = at[begin:end]
            if kind == "crease":
                tone.line(points, fill=fill, width=round(width * unit) or 1)
            elif kind == "shade":
                tone.polygon(points, fill=fill)
            elif kind == "cloth":
                self._draw_cover.polygon(points, fill=255)
                tone.polygon(points, fill=fill)
                if side != BODY or "_sides" in self.__dict__:
                    self._sides[1].polygon(points, fill=side)
            else:
                colour = inks[str(fill)]
                inked: tuple[tuple[ImageDraw.ImageDraw, int | RGB], ...]
                inked = ((self._top[2], colour), (self._top[3], 255))
                for draw, value in inked:
                    if kind == "stroke":
                        draw.line(points, fill=value, width=round(width * unit) or 1)
                    elif kind == "fill":
                        draw.polygon(points, fill=value)
                    else:
                        x, y, r = *points, width * unit
                        draw.ellipse((x - r, y - r, x + r, y + r), fill=value)

    def cover(self) -> Image.Image:
        """Share of each pixel that cloth covers, as an image of 0 to 255."""
        return self._cover.reduce(FINE)

    def tone(self) -> np.ndarray:
        """Light and dark, float32; 1 is as the cloth is."""
        return np.asarray(self._tone.reduce(FINE), dtype=np.float32) * np.float32(1 / 128)

    def sides(self) -> np.ndarray | None:
        """Side of each pixel; None where there is but one."""
        if "_sides" not in self.__dict__:
            return None
        return np.asarray(self._sides[0])[FINE // 2 :: FINE, FINE // 2 :: FINE]

    def on_top(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Colours times shares (3, n, n) and shares (n, n) of what lies on the cloth, float32."""
        if "_top" not in self.__dict__:
            return None
        colours, where = (np.asarray(image.reduce(FINE), dtype=np.float32) for image in self._top[:2])
        return np.ascontiguousarray(colours.transpose(2, 0, 1)), where * np.float32(1 / 255)
