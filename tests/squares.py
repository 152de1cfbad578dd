"""Drawn squares in four colours, some striped, some framed: what a network learns in seconds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ivbpr_numba.network.vocabulary import AttributeGroup, Vocabulary
from ivbpr_numba.training.training_set import TrainingSet

COLOURS = {"blue": (40, 40, 210), "green": (30, 180, 40), "red": (200, 30, 30), "yellow": (230, 220, 60)}
VOCABULARY = Vocabulary(
    (AttributeGroup("colour", tuple(COLOURS), True), AttributeGroup("marks", ("frame", "stripes"), False))
)


def draw(n: int, side: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (n, side, side, 3), number of the colour (n,), frame and stripes (n, 2)."""
    generator = np.random.default_rng(seed)
    colour = generator.integers(0, len(COLOURS), n).astype(np.int32)
    marks = generator.integers(0, 2, (n, 2)).astype(np.int8)
    palette = np.array(list(COLOURS.values()))
    pixels = np.full((n, side, side, 3), 240, np.uint8)
    rows, columns = np.mgrid[:side, :side]
    for k in range(n):
        size = generator.integers(side // 3, side // 2)
        top, left = generator.integers(2, side - size - 2, 2)
        shape = (abs(rows - top - size / 2) < size / 2) & (abs(columns - left - size / 2) < size / 2)
        pixels[k][shape] = np.clip(palette[colour[k]] + generator.integers(-20, 20, 3), 0, 255)
        if marks[k, 0]:
            pixels[k, [0, -1], :] = pixels[k, :, [0, -1]] = 0
        if marks[k, 1]:
            pixels[k][shape & (rows % 4 == 0)] = 0
    return pixels, colour, marks


def training_set(n: int = 400, valid: int = 80, side: int = 32, seed: int = 0) -> TrainingSet:
    """The last `valid` of n pictures choose the epoch."""
    pixels, colour, marks = draw(n, side, seed)
    return TrainingSet(VOCABULARY, pixels, (colour, marks), np.arange(n - valid), np.arange(n - valid, n))


def write(folder: Path, n: int = 60, side: int = 32, seed: int = 0) -> Path:
    """A folder of PNG files with ``labels.csv`` beside it; returns the table."""
    from PIL import Image

    folder.mkdir()
    pixels, colour, marks = draw(n, side, seed)
    table = folder.parent / "labels.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", "colour", "marks"])
        for k in range(n):
            Image.fromarray(pixels[k]).save(folder / f"p{k:03d}.png")
            own = [name for name, has in zip(VOCABULARY.groups[1].values, marks[k]) if has]
            writer.writerow([f"p{k:03d}", list(COLOURS)[colour[k]], ";".join(own)])
    return table
