"""All sketches of one kind of garment, made when they are first needed and kept."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import cache, cached_property

import numpy as np

from ivbpr_numba.worlds.wardrobe import trimmings
from ivbpr_numba.worlds.wardrobe.canvas import Sketch
from ivbpr_numba.worlds.wardrobe.cut import Cut
from ivbpr_numba.worlds.wardrobe.cuts import cut_of

__all__ = ["Outfit", "outfit_of"]


@cache
def outfit_of(garment: str, fit: str, flared: bool) -> Outfit:
    """The sketches of a garment in a fit, with or without a flared hem."""
    return Outfit(cut_of(garment, fit, flared))


class Outfit:
    """Sketches of a cut."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut

    @cached_property
    def _behind(self) -> Sketch:
        sketch = Sketch()
        for part in self.cut.behind:
            sketch.lay(part)
        return sketch

    @cached_property
    def _front(self) -> Sketch:
        sketch = Sketch()
        for part in self.cut.parts:
            sketch.lay(part)
        return sketch

    @cached_property
    def _details(self) -> Sketch:
        """Ribs, washed-out areas, seams and buttons."""
        sketch = trimmings.knitted(self.cut)
        for area, tone in self.cut.fades:
            sketch.shade(area, tone)
        for line in self.cut.lines:
            sketch.seam(line)
        for button in self.cut.buttons:
            sketch.button(*button, "button", "edge")
        return sketch

    @cached_property
    def _thread(self) -> Sketch:
        sketch = Sketch()
        for points in self.cut.stitches:
            sketch.stitch(points, 0.026, "seam")
        for line in self.cut.lines:  # beside every dark seam a row of stitches
            if line.tone < 80:
                sketch.stitch(line.points + np.array([0, 0.03]), 0.022, "seam")
        return sketch

    @cached_property
    def _topstitch(self) -> Sketch:
        sketch = Sketch()
        for line in self.cut.stitches:
            sketch.crease(line, 0.016, 80)
        return sketch

    @cached_property
    def _hood(self) -> Sketch:
        return trimmings.hood(self.cut)

    @cached_property
    def _cords(self) -> Sketch:
        return trimmings.cords(self.cut)

    @cached_property
    def _ruffles(self) -> Sketch:
        return trimmings.ruffles(self.cut)

    @cached_property
    def _pleats(self) -> Sketch:
        return trimmings.pleats(self.cut)

    @cached_property
    def _embroidery(self) -> Sketch:
        return trimmings.embroidery(self.cut)

    @cached_property
    def _boxes(self) -> dict[str, np.ndarray]:
        """Lower and upper corner (2, 2) of all that may widen the outline."""
        sketches = {"": self._front, "behind": self._behind, "hooded": self._hood, "ruffled": self._ruffles}
        return {
            name: np.array([one.points.min(axis=0), one.points.max(axis=0)])
            for name, one in sketches.items()
            if len(one.points)
        }

    def box(self, tags: AbstractSet[str]) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the outline with these tags."""
        boxes = np.array([box for name, box in self._boxes.items() if name in ("", "behind") or name in tags])
        return boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)

    def sketches(
        self, tags: AbstractSet[str], thread: bool, topstitched: bool, rng: np.random.Generator
    ) -> list[Sketch]:
        """What to draw, from back to front.

        Parameters
        ----------
        tags : set of str
        thread, topstitched : bool
            Whether seams show their thread, or a fine line.
        rng : numpy Generator
            For the holes.
        """
        found = [self._hood] if "hooded" in tags else []
        found += [self._behind, self._front]
        found += [self._pleats] if "pleated" in tags else []
        found.append(self._details)
        found += [self._ruffles] if "ruffled" in tags else []
        found += [self._thread] if thread else [self._topstitch] if topstitched else []
        found += [self._embroidery] if "embroidered" in tags else []
        found += [trimmings.tears(self.cut, rng)] if "distressed" in tags else []
        found += [self._cords] if "hooded" in tags else []
        return found
