"""Why onnxruntime may not run on a CUDA card: every way, with drivers, packages and sessions that are not there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from ivbpr_numba.errors import DataError, EnvironmentProblem
from ivbpr_numba.network import cards, extraction, file
from ivbpr_numba.network.file import Network
from ivbpr_numba.network.journal import Journal, identity_in
from ivbpr_numba.network.shipped import shipped_network


class Driver:
    """A CUDA driver of a version, with cards and their memory."""

    def __init__(self, version: int = 13000, cards: int = 1, state: int = 0, memory: int = 80 << 30) -> None:
        self.version, self.cards, self.state, self.memory = version, cards, state, memory

    def cuInit(self, flags: int) -> int:
        return self.state

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.cards
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.version
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        return 0

    def cuDeviceTotalMem_v2(self, total: Any, device: Any) -> int:
        total._obj.value = self.memory
        return 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine on which all is well, to be spoiled: its driver, packages, providers and libraries."""
    found = SimpleNamespace(
        driver=Driver(), packages={"onnxruntime-gpu": "1.31.1"}, providers=[cards.CUDA, file.CPU],
        built="13.0", libraries={cards.CUDNN}, said="",
    )  # fmt: skip

    def load(name: str) -> Any:
        if name == cards.DRIVER and found.driver is not None:
            return found.driver
        if name in found.libraries:
            return object()
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cards.ctypes, "CDLL", load)
    monkeypatch.setattr(cards, "_installed", lambda: found.packages)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: found.providers)
    monkeypatch.setattr(onnxruntime, "cuda_version", found.built, raising=False)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print(found.said), raising=False)
    cards.load_libraries.cache_clear()
    yield found
    cards.load_libraries.cache_clear()


def test_a_machine_on_which_all_is_well(machine: Any) -> None:
    assert cards.cuda_problem() is None
    assert cards.load_libraries() == ()
    assert cards.cuda_options()["gpu_mem_limit"] == str(40 << 30)


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        ({"driver": None}, "there is no CUDA driver"),
        ({"driver": Driver(state=100)}, "can't start (its error 100)"),
        ({"driver": Driver(cards=0)}, "finds no card"),
        ({"driver": Driver(version=12040)}, "the driver knows CUDA 12.4 and onnxruntime is built for 13.0"),
        ({"providers": [file.CPU], "packages": {"onnxruntime": "1.31.1"}}, "built without CUDA"),
        (
            {"providers": [file.CPU], "packages": {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}},
            "overwrote each other",
        ),
    ],
)
def test_every_problem_has_its_words(machine: Any, spoiled: dict[str, Any], said: str) -> None:
    for name, value in spoiled.items():
        setattr(machine, name, value)
    assert said in (cards.cuda_problem() or "")
    with pytest.raises(EnvironmentProblem) as problem:
        Network.read(shipped_network()).session(device="cuda")
    assert said in problem.value.message and problem.value.exit_code == 4


def test_an_older_onnxruntime_tells_no_version(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(onnxruntime, "cuda_version")
    machine.driver = Driver(version=11080)
    assert cards.cuda_problem() is None


def test_libraries_that_are_missing_are_named(machine: Any) -> None:
    machine.libraries = set()
    machine.said = "Failed to load /x/nvidia/cu13/lib/libcublas.so.13: no such file\nPlease follow https://…"
    assert cards.load_libraries() == ("libcublas.so.13", f"{cards.CUDNN} (cuDNN)")
    assert "not found: libcublas.so.13" in cards.unstarted()


def test_nothing_is_printed_and_libraries_are_loaded_once(
    machine: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: (called.append(1), print("noise")))
    cards.load_libraries()
    cards.load_libraries()
    assert called == [1] and capsys.readouterr().out == ""


class Session:
    """What onnxruntime gives, on a provider that it chose itself."""

    def __init__(self, runs_on: str) -> None:
        self.runs_on = runs_on

    def get_providers(self) -> list[str]:
        return [self.runs_on, file.CPU]

    def get_inputs(self) -> list[Any]:
        return []


@pytest.mark.parametrize("runs_on", [cards.CUDA, file.CPU])
def test_only_the_session_proves_the_provider(
    machine: Any, monkeypatch: pytest.MonkeyPatch, runs_on: str
) -> None:
    asked: list[Any] = []

    def load(content: bytes, where: Any, providers: list[Any], threads: int | None) -> Session:
        asked.append(providers)
        return Session(runs_on)

    monkeypatch.setattr(file, "_load", load)

    def start(device: str) -> file.NetworkSession:
        return file.start_session(b"", "net.onnx", "images", ["y"], device=device)

    session = start("auto")
    assert asked[0][0] == (cards.CUDA, cards.cuda_options()) and session.provider == runs_on
    if runs_on == cards.CUDA:
        assert start("cuda").why == "a card was found"
        return
    assert "could not start" in session.why
    machine.libraries = set()
    cards.load_libraries.cache_clear()
    with pytest.raises(EnvironmentProblem, match=f"not found: {cards.CUDNN}"):
        start("cuda")


class Card:
    """Runs a batch in a fixed time and one for each image, up to what its memory holds."""

    def __init__(self, fixed: float, each: float, most: int = 10**6) -> None:
        self.fixed, self.each, self.most, self.now = fixed, each, most, 0.0

    def run(self, batch: np.ndarray) -> None:
        if len(batch) > self.most:
            raise DataError("The network failed: out of memory.", "")
        self.now += self.fixed + self.each * len(batch)

    def paying(self) -> int:
        return cards.paying_batch(self.run, np.zeros((1, 3, 4, 4), np.float32), lambda: self.now)


def test_a_batch_is_doubled_as_long_as_it_pays() -> None:
    assert Card(fixed=1.0, each=1.0).paying() == 32
    assert Card(fixed=100.0, each=1.0).paying() == 512
    assert Card(fixed=100.0, each=1.0, most=100).paying() == 64
    with pytest.raises(DataError, match="out of memory"):
        Card(fixed=1.0, each=1.0, most=31).paying()


def test_a_run_goes_on_with_its_batch(tmp_path: Path) -> None:
    path = tmp_path / "f.h5.partial"
    assert identity_in(path) == {}
    path.write_bytes(b"something else")
    assert identity_in(path) == {}
    path.unlink()
    with Journal(path, {"batch": 96}):
        pass
    assert identity_in(path) == {"batch": 96}
    on_cpu = SimpleNamespace(provider=file.CPU)
    assert extraction._batch(on_cpu, None, identity_in(path)) == 96  # type: ignore[arg-type]
    assert extraction._batch(on_cpu, None, {}) == 32  # type: ignore[arg-type]


def test_facts_name_the_package(machine: Any) -> None:
    assert cards.package_facts() == {"package": "onnxruntime-gpu 1.31.1", "built_for_cuda": "13.0"}
    machine.packages = {"onnxruntime": "1.30.0", "onnxruntime-gpu": "1.31.1"}
    assert "uninstall both" in cards.package_facts()["problem"]
