"""Photos through a network on a cluster: the payload of one process, also with workers that die."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import odd_images
import pytest
from extracting import stop_after
from photo_files import pack_tar, pack_zip, write_all
from tiny_networks import named_network

from ivbpr_numba.errors import EnvironmentProblem, Interrupted, UsageError
from ivbpr_numba.features.features import Features
from ivbpr_numba.network import batches
from ivbpr_numba.network.extraction import extract
from ivbpr_numba.network.journal import journal_path

pytestmark = pytest.mark.cluster
pytest.importorskip("onnx", reason="networks for tests are made with onnx")
WHAT = ("images", "items", "columns", "resumed", "payload_sha256", "bad", "converted", "left_out", "others")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and what is none or needs converting."""
    files = {f"p{k:03d}.png": odd_images.saved(odd_images.photo(k), "PNG") for k in range(40)}
    files |= {name: odd.data for name, odd in {**odd_images.broken(), **odd_images.converted()}.items()}
    return write_all(tmp_path_factory.mktemp("photos"), files)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return named_network(tmp_path_factory.mktemp("net") / "net.onnx")


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return [one[key] for key in WHAT] == [other[key] for key in WHAT]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tgz"])
def test_every_container(kind: str, folder: Path, net: Path, four: Any, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir(), reverse=True)}
    place = {
        "folder": lambda: folder,
        "zip": lambda: pack_zip(tmp_path / "p.zip", files),
        "tar": lambda: pack_tar(tmp_path / "p.tar", files),
        "tgz": lambda: pack_tar(tmp_path / "p.tgz", files, "w:gz"),
    }[kind]()
    here = extract(place, net, tmp_path / "here.h5", batch=5)
    there = extract(place, net, tmp_path / "there.h5", batch=5, client=four)
    assert alike(here, there) and len(here["bad"]) > 15 and there["why"] != here["why"]
    assert Features.read(tmp_path / "here.h5").source == Features.read(tmp_path / "there.h5").source


def test_one_and_two_workers(folder: Path, net: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    here = extract(folder, net, tmp_path / "here.h5", batch=7)
    for workers in (1, 2):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=3 - workers, host="127.0.0.1", dashboard_address=None
            ) as local,
            Client(local, set_as_default=False) as client,
        ):
            assert alike(here, extract(folder, net, tmp_path / f"{workers}.h5", batch=7, client=client))


def test_an_interrupted_run_goes_on_here_and_there(
    folder: Path, net: Path, four: Any, tmp_path: Path
) -> None:
    whole = extract(folder, net, tmp_path / "whole.h5", batch=4)["payload_sha256"]
    for first, then in ((four, None), (None, four), (four, four)):
        out = tmp_path / "f.h5"
        with pytest.raises(Interrupted, match="after 12 of") as caught:
            extract(folder, net, out, batch=4, client=first, stop=stop_after(3))
        assert caught.value.exit_code == 128 + signal.SIGTERM and journal_path(out).exists()
        report = extract(folder, net, out, batch=4, client=then)
        assert report["resumed"] == 12 and report["payload_sha256"] == whole
        out.unlink()


def test_what_a_cluster_refuses(folder: Path, net: Path, four: Any, tmp_path: Path) -> None:
    for options in ({"device": "cuda"}, {"threads": 2}):
        with pytest.raises(UsageError, match="workers of a cluster"):
            extract(folder, net, tmp_path / "f.h5", client=four, **options)


def test_photos_that_workers_do_not_see(
    folder: Path, net: Path, four: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker is on another machine here: their photos are elsewhere because they are told so."""
    out = tmp_path / "f.h5"
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    of = batches.There.of.__func__  # type: ignore[attr-defined]

    def elsewhere(cls: Any, *given: Any) -> Any:
        there = of(cls, *given)
        object.__setattr__(there, "place", str(other))
        return there

    monkeypatch.setattr(batches.There, "of", classmethod(elsewhere))
    whole = extract(folder, net, tmp_path / "g.h5", batch=4, client=four)["payload_sha256"]
    (other / "p007.png").write_bytes(b"x" * 10)
    with pytest.raises(EnvironmentProblem, match=r"sees another 'p007\.png' .* 10 bytes there"):
        extract(folder, net, out, batch=4, client=four)
    (other / "p007.png").unlink()
    with pytest.raises(EnvironmentProblem, match=r"another 'p007\.png' .*no such file") as caught:
        extract(folder, net, out, batch=4, client=four)
    assert caught.value.exit_code == 4 and journal_path(out).exists()
    shutil.rmtree(other)
    with pytest.raises(EnvironmentProblem, match=r"can't read .*other"):
        extract(folder, net, out, batch=4, client=four)
    other = folder  # where they are told to look from now on
    assert extract(folder, net, out, batch=4, client=four)["payload_sha256"] == whole
    monkeypatch.setattr("ivbpr_numba.network.extraction.os.path.abspath", lambda path: str(tmp_path / "gone"))
    with pytest.raises(EnvironmentProblem, match=r"worker tcp://.* can't read .*gone"):
        extract(folder, net, out, batch=4, client=four)


def test_a_photo_that_only_a_worker_cannot_read(
    folder: Path, net: Path, four: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def done(crew: Any, work: Any, *more: Any) -> Any:
        found = real(crew, work, *more)
        return found if found.indices[0] else batches.Done(
            found.indices, {1: "permissions"}, {}, found.rows[1:], 0.0, {1: "permissions"}, "far"
        )  # fmt: skip

    real = batches._do
    monkeypatch.setattr(batches, "_do", done)
    from ivbpr_numba.processes import Processes

    monkeypatch.setattr("ivbpr_numba.network.extraction.crew_of", lambda *given: Processes(1))
    with pytest.raises(EnvironmentProblem, match=r"worker on far can't read .* permissions"):
        extract(folder, net, tmp_path / "f.h5", batch=4, client=four)


def test_the_command(ivbpr: Callable[..., Any], folder: Path, net: Path, four: Any, tmp_path: Path) -> None:
    found = []
    for name, more in (("here", ()), ("there", ("--scheduler", four.scheduler.address))):
        run = ivbpr(
            *("features", "extract", folder, "--model", net, "-o", tmp_path / f"{name}.h5"),
            *("--batch", 6, "--format", "json", *more),
        )
        assert run.code == 0, run.err
        found.append(json.loads(run.out)["payload_sha256"])
    assert found[0] == found[1] and os.listdir(tmp_path) and found[0]
