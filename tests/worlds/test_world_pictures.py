"""Drawn product photos: the same for the same seed and item, and every attribute shows."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ivbpr_numba import UsageError
from ivbpr_numba.store import atomic
from ivbpr_numba.worlds import pictures as world_pictures
from ivbpr_numba.worlds.pictures import PIXELS, VALUES, draw_product, picture_of, write_pictures
from ivbpr_numba.worlds.wardrobe.outfit import outfit_of
from ivbpr_numba.worlds.world import World, generate


@pytest.fixture(scope="module")
def world() -> World:
    return generate("tiny", 3, users=20, items=60)


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    """What is told while `folder` is drawn."""
    return []


@pytest.fixture(scope="module")
def folder(world: World, told: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of `world`."""
    target = tmp_path_factory.mktemp("pictures") / "images"
    return write_pictures(world, target, lambda done, total: told.append((done, total)))


def drawn(look: dict[str, str], tags: tuple[str, ...] = (), seed: int = 0) -> np.ndarray:
    return np.asarray(draw_product(look, tags, np.random.default_rng(seed)), dtype=np.float64)


def test_every_item_has_its_whole_picture(world: World, folder: Path, told: list[tuple[int, int]]) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [f"{item}.jpg" for item in world.items]
    for path in folder.iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.size == (PIXELS, PIXELS) and image.mode == "RGB" and image.format == "JPEG"
    assert told == [(50, 60), (60, 60)]


def test_seed_and_item_decide(world: World, folder: Path) -> None:
    """Neither what was drawn before nor another process changes a byte; another seed does."""
    alone = [picture_of(world, row) for row in (7, 3)]
    assert [(folder / f"{world.items[row]}.jpg").read_bytes() for row in (7, 3)] == alone
    code = (
        "from ivbpr_numba.worlds.world import generate; import sys, hashlib; "
        "from ivbpr_numba.worlds.pictures import picture_of; "
        "print(picture_of(generate('tiny', 3, users=20, items=60), 7).hex())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert bytes.fromhex(other.strip()) == alone[0]
    assert picture_of(replace(world, seed=4), 7) != alone[0]


@pytest.mark.parametrize("group", [group for group in VALUES if group != "tags"])
def test_every_value_can_be_told_from_every_other(group: str) -> None:
    """Same pose and light: pictures of two values differ by more than the noise, on average and somewhere."""
    look = {"garment": "dress", "material": "cotton", "pattern": "plain", "colour": "blue", "fit": "regular"}
    found = [drawn({**look, group: value}) for value in VALUES[group]]
    for n, one in enumerate(found):
        for other in found[:n]:
            apart = np.abs(one - other)
            assert apart.mean() > 0.4 and np.quantile(apart, 0.995) > 12


@pytest.mark.parametrize("garment", VALUES["garment"])
def test_every_tag_and_fit_shows_on_every_garment(garment: str) -> None:
    plain = drawn({"garment": garment, "colour": "red"})
    for tag in VALUES["tags"]:
        apart = np.abs(drawn({"garment": garment, "colour": "red"}, (tag,)) - plain)
        assert (apart.max(axis=2) > 25).sum() > 60, tag
    for fit in VALUES["fit"][1:]:
        apart = np.abs(drawn({"garment": garment, "colour": "red", "fit": fit}) - plain)
        assert (apart.max(axis=2) > 25).sum() > 200, fit


def test_colours_are_those_of_the_cloth() -> None:
    for colour, (base, _) in world_pictures.fabrics.COLOURS.items():
        middle = drawn({"garment": "t-shirt", "colour": colour})[60:76, 56:72].mean(axis=(0, 1))
        assert np.abs(middle - base).max() < 45, colour


def test_pose_and_light_differ_between_pictures_of_one_look() -> None:
    look = {"garment": "coat", "pattern": "floral", "colour": "green"}
    assert np.abs(drawn(look, seed=1) - drawn(look, seed=2)).mean() > 3


@pytest.mark.parametrize("garment", VALUES["garment"])
@pytest.mark.parametrize("fit", VALUES["fit"])
def test_outlines_are_symmetric_and_stay_inside(garment: str, fit: str) -> None:
    for flared in (False, True):
        for tags in (frozenset(), frozenset({"hooded", "ruffled"})):
            low, high = outfit_of(garment, fit, flared).box(tags)
            assert abs(low[0] + high[0]) < 0.06  # only swinging hems and frills may differ
            assert (high - low > 0.3).all() and (high - low < 2.4).all()
    picture = drawn({"garment": garment, "fit": fit, "colour": "black"}, tuple(VALUES["tags"]))
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert edge.min() > 120  # the background, perhaps in shadow


@pytest.mark.parametrize(
    ("group", "value"), [("garment", "garment-13"), ("colour", "teal"), ("sleeve", "long"), ("tags", "tag-7")]
)
def test_what_nobody_has_drawn_is_refused(group: str, value: str) -> None:
    look, tags = ({}, (value,)) if group == "tags" else ({group: value}, ())
    with pytest.raises(UsageError, match=f"no drawing of {group} '{value}'"):
        draw_product(look, tags, np.random.default_rng(0))


def test_worlds_with_more_values_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    groups = (("garment", 13), ("colour", 3))
    world = generate("tiny", 0, users=10, items=40, groups=groups)
    with pytest.raises(UsageError, match="garment-13"):
        write_pictures(world, tmp_path / "images")
    assert not (tmp_path / "images").exists()


def test_worlds_with_fewer_groups_can_be_drawn(tmp_path: Path) -> None:
    world = generate("tiny", 0, users=10, items=40, groups=(("garment", 3), ("colour", 3)), tags=0)
    assert len(list(write_pictures(world, tmp_path / "images").iterdir())) == 40


def test_a_file_in_the_folders_place(world: World, tmp_path: Path) -> None:
    (tmp_path / "images").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        write_pictures(world, tmp_path / "images")


def test_an_interruption_leaves_no_half_picture(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(source: Any, target: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_pictures(world, tmp_path / "images")
    assert not list((tmp_path / "images").iterdir())


def test_the_command_draws_too(ivbpr: Any, tmp_path: Path) -> None:
    done = ivbpr("world", "tiny", "--seed", 3, "--images", "-o", tmp_path / "w", "--format", "json")
    assert done.code == 0, done.err
    world = generate("tiny", 3)
    picture = tmp_path / "w" / "images" / f"{world.items[11]}.jpg"
    assert picture.read_bytes() == picture_of(world, 11)
    assert ivbpr("world", "tiny", "-o", tmp_path / "v").code == 0 and not (tmp_path / "v" / "images").exists()


def test_a_picture_is_small() -> None:
    world = generate("tiny", 3)
    sizes = [len(picture_of(world, row)) for row in range(0, 300, 10)]
    assert max(sizes) < 12_000
    assert Image.open(io.BytesIO(picture_of(world, 0))).size == (128, 128)
