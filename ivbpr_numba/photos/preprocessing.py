"""From a photo to the numbers that a network expects."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivbpr_numba.errors import DataError, UsageError, did_you_mean, parameter
from ivbpr_numba.readers.text import read_text

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PRESETS", "Preprocessing"]

CROPS = ("none", "center", "pad")
LAYOUTS = ("NCHW", "NHWC")
CHANNELS = ("rgb", "bgr")
KEYS = ("size", "crop", "layout", "channels", "scale", "mean", "std")
LARGEST = 4096  # pixels a side; beyond that a size is a mistake
EXAMPLE = (
    '{"size": [224, 224], "crop": "center", "layout": "NCHW", "channels": "rgb", '
    '"scale": 0.00392156862745098, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}'
)


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become input: value = (pixel · scale − mean) / std, for pixels 0 to 255.

    Attributes
    ----------
    size : (int, int)
        Height and width.
    crop : str
        ``none`` stretches the photo to `size`; ``center`` scales it until it covers `size` and cuts the
        middle out; ``pad`` scales it until it fits and fills up with white.
    layout : str
        ``NCHW`` or ``NHWC``.
    channels : str
        ``rgb`` or ``bgr``.
    scale : float
    mean, std : (float, float, float)
        In the order of `channels`.
    resize : int or None
        With ``center``: the shorter side is scaled to so many pixels before `size` is cut out; None scales
        just as far as needed.
    """

    size: tuple[int, int]
    crop: str = "none"
    layout: str = "NCHW"
    channels: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: int | None = None

    @property
    def keeps_pixels(self) -> bool:
        """Whether the values are the pixels themselves, 0 to 255."""
        return (self.scale, self.mean, self.std) == (1, (0, 0, 0), (1, 1, 1))

    def fit(self, image: Image) -> Image:
        """An RGB image scaled and cut to `size`."""
        from PIL import Image as pillow

        height, width = self.size
        how = pillow.Resampling.BILINEAR
        if self.crop == "none":
            return image if image.size == (width, height) else image.resize((width, height), how)
        covering = (width / image.width, height / image.height)
        if self.crop == "center":
            # Only what will be seen is scaled.
            factor = max((self.resize or 0) / min(image.size), *covering)
            wide, high = min(image.width, width / factor), min(image.height, height / factor)
            left, top = (image.width - wide) / 2, (image.height - high) / 2
            return image.resize((width, height), how, box=(left, top, left + wide, top + high))
        factor = min(covering)
        scaled = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        page = pillow.new("RGB", (width, height), (255, 255, 255))
        page.paste(image.resize(scaled, how), ((width - scaled[0]) // 2, (height - scaled[1]) // 2))
        return page

    def normalise(self, pixels: np.ndarray) -> np.ndarray:
        """Input of the network.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (N, H, W, 3)
            RGB.

        Returns
        -------
        ndarray of float32, shape (N, 3, H, W) or (N, H, W, 3)
            C-contiguous.
        """
        if self.channels == "bgr":
            pixels = pixels[..., ::-1]
        if self.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        shape = (1, 3, 1, 1) if self.layout == "NCHW" else (1, 1, 1, 3)
        factor = (self.scale / np.asarray(self.std, dtype=np.float64)).astype(np.float32).reshape(shape)
        shift = (np.asarray(self.mean, dtype=np.float64) / np.asarray(self.std)).astype(np.float32)
        values = np.ascontiguousarray(pixels, dtype=np.float32)
        values *= factor
        values -= shift.reshape(shape)
        return values

    def with_size(self, size: tuple[int, int]) -> Preprocessing:
        """The same for another input size, the photo stretched to it."""
        return Preprocessing(
            size, "none", self.layout, self.channels, self.scale, self.mean, self.std
        )._checked(parameter("size"))

    def to_json(self) -> str:
        """The text that `from_json` reads."""
        document: dict[str, Any] = {key: getattr(self, key) for key in KEYS}
        if self.resize is not None:
            document["resize"] = self.resize
        return json.dumps(document)

    @classmethod
    def from_json(cls, text: str, where: str) -> Preprocessing:
        """Read a JSON object with the keys of `KEYS`.

        ``size`` is a number or [height, width]; ``crop`` may also be false (none), true (center) or a number:
        the shorter side is scaled to ``size`` and a square of that many pixels cut out. ``mean`` and ``std``
        may be one number for all channels. ``crop``, ``layout``, ``channels``, ``scale``, ``mean`` and
        ``std`` default to none, NCHW, rgb, 1, 0 and 1.

        Raises
        ------
        DataError
            No such object, an unknown key, or a value that makes no sense.
        """
        try:
            raw = json.loads(text)
            if not isinstance(raw, dict):
                raise TypeError("it is no object")
            unknown = [key for key in raw if key not in (*KEYS, "resize")]
            if unknown:
                raise ValueError(f"unknown key '{unknown[0]}'. {did_you_mean(unknown[0], KEYS)}".strip())
            size, resize = _pair(raw["size"]), raw.get("resize")
            crop: Any = raw.get("crop")
            if isinstance(crop, int | float | list) and not isinstance(crop, bool):
                if size[0] != size[1]:
                    raise ValueError("a crop in pixels needs a size of one number")
                size, resize, crop = _pair(crop), size[0], "center"
            elif not isinstance(crop, str):
                crop = "center" if crop else "none"
            found = cls(
                size=size,
                crop=crop,
                layout=str(raw.get("layout", "NCHW")).upper(),
                channels=str(raw.get("channels", "rgb")).lower(),
                scale=float(raw.get("scale", 1.0)),
                mean=_three(raw.get("mean", 0.0)),
                std=_three(raw.get("std", 1.0)),
                resize=None if resize is None else int(resize),
            )
        except (ValueError, KeyError, TypeError) as problem:
            detail = f"'{problem.args[0]}' is missing" if isinstance(problem, KeyError) else str(problem)
            raise DataError(f"'{where}' is no preprocessing: {detail}.", f"Write {EXAMPLE}.") from None
        return found._checked(where)

    @classmethod
    def read(cls, name: str | os.PathLike[str]) -> Preprocessing:
        """A preset of `PRESETS` by its name, or a JSON file.

        Raises
        ------
        UsageError
            Neither a preset nor a file.
        DataError
            See `from_json`.
        """
        text = os.fspath(name)
        if text in PRESETS and not os.path.exists(text):
            return PRESETS[text]
        path = Path(text)
        if not path.is_file():
            hint = did_you_mean(text, PRESETS) or f"Name a JSON file or one of {', '.join(PRESETS)}."
            raise UsageError(f"The preprocessing '{text}' is no file.", hint)
        return cls.from_json(read_text(path), text)

    def _checked(self, where: str) -> Preprocessing:
        problems = [
            (
                not all(1 <= side <= LARGEST for side in self.size),
                f"a size of {self.size[0]} × {self.size[1]}",
            ),
            (self.crop not in CROPS, f"crop '{self.crop}'; use {', '.join(CROPS)}"),
            (self.layout not in LAYOUTS, f"layout '{self.layout}'; use {' or '.join(LAYOUTS)}"),
            (self.channels not in CHANNELS, f"channels '{self.channels}'; use {' or '.join(CHANNELS)}"),
            (not np.isfinite([self.scale, *self.mean, *self.std]).all(), "a number that is not finite"),
            (self.scale == 0 or 0 in self.std, "a scale or std of 0"),
            (
                self.resize is not None and not (1 <= self.resize <= LARGEST and self.crop == "center"),
                f"resize {self.resize}",
            ),
        ]
        for wrong, what in problems:
            if wrong:
                raise DataError(f"'{where}' is no preprocessing: {what}.", f"Write {EXAMPLE}.")
        return self


PRESETS = {
    "imagenet": Preprocessing((224, 224), "center", resize=256),
    "bgr-raw": Preprocessing(
        (224, 224), "center", channels="bgr", scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    ),
}


def _pair(value: Any) -> tuple[int, int]:
    sides = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(sides) != 2 or any(isinstance(side, bool) or int(side) != side for side in sides):
        raise ValueError(f"{value!r} is no size")
    return int(sides[0]), int(sides[1])


def _three(value: Any) -> tuple[float, float, float]:
    numbers = list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(numbers) != 3:
        raise ValueError(f"{value!r} is not one number a channel")
    return float(numbers[0]), float(numbers[1]), float(numbers[2])
