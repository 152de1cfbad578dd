"""A small shop whose products are drawn: three epochs of style, read by the network that comes with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.models.base import Model
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.shipped import shipped_network
from ivbpr_numba.questions.new_item import Looker
from ivbpr_numba.worlds.pictures import write_pictures
from ivbpr_numba.worlds.world import generate

COLUMNS = ["garment", "material", "colour"]  # kept, so that visitors can filter by them


@dataclass(frozen=True)
class DrawnShop:
    """What a server needs, and the same model without time."""

    data: Dataset
    model: Model
    timeless: Model
    images: Path
    looker: Looker


def draw_shop(folder: Path) -> DrawnShop:
    """Generate, draw, look, prepare, fit."""
    world = generate("drift", seed=4, users=240, items=320)
    files = world.write(folder)
    images = write_pictures(world, folder / "images")
    network = Network.read(shipped_network())
    features_file = folder / "photo-attributes.h5"
    extract(images, network.path, features_file, device="cpu")
    data = prepare(
        files["purchases"],
        features=[features_file],
        catalogue=files["catalogue"],
        catalogue_id="id",
        title="title",
        keep=COLUMNS,
        seed=4,
    )
    features = Features.read(features_file)
    model = create("i-tvbpr", seed=4, epochs=3, iterations=60).fit(data, features)
    timeless = create("i-vbpr", seed=4, iterations=40).fit(data, features)
    return DrawnShop(data, model, timeless, images, Looker.of(network))
