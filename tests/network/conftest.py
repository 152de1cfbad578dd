"""Photos and tiny networks that several tests of this room look at."""

from __future__ import annotations

from pathlib import Path

import odd_images
import pytest
from photo_files import write_all
from tiny_networks import named_network, plain_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23 photos, a.png to w.png."""
    files = {f"{chr(97 + k)}.png": odd_images.saved(odd_images.photo(k), "PNG") for k in range(23)}
    return write_all(tmp_path_factory.mktemp("photos"), files)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return named_network(tmp_path_factory.mktemp("net") / "net.onnx")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plain_network(tmp_path_factory.mktemp("net") / "plain.onnx")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "attrs.h5"
