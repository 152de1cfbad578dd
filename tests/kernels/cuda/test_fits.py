"""Whole fits on the device beside the CPU's, in the simulator: parameters, draws, counts, lists, checkpoints."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_cuda import DATA, DENSE, ONE_HOT

from ivbpr_cli.app import run as command
from ivbpr_numba import Features, backends, create, load
from ivbpr_numba.errors import EnvironmentProblem, UsageError
from ivbpr_numba.kernels.cuda import arrays
from ivbpr_numba.models.base import Model
from ivbpr_numba.models.triples import TripleSampler
from ivbpr_numba.questions.auc import auc
from ivbpr_numba.ranking import count, item_classes, questions

pytestmark = pytest.mark.cuda

TOLERANCE = 1e-5


N = len(DATA.items)
QUICK: dict[str, Any] = {"iterations": 2, "eval_every": 1, "factors": 2, "lambda_bias": 0.1}
VISUAL: dict[str, Any] = {**QUICK, "visual_factors": 2, "lambda_visual": 0.1, "block": 8}
IN_TIME: dict[str, Any] = {
    **VISUAL, "epochs": 2, "bins": 4, "segment_every": 1, "segment_negatives": 2, "feature_scaling": "none",
}  # fmt: skip
FITS: dict[str, tuple[str, Features | None, dict[str, Any]]] = {
    "mm-mf": ("mm-mf", None, {**QUICK, "average": 0.5}),
    "bpr-mf of two": ("bpr-mf", None, {**QUICK, "ensemble": 2, "negatives": "popularity"}),
    "vbpr": ("vbpr", DENSE, {**VISUAL, "average": 0.5}),
    "i-vbpr": ("i-vbpr", ONE_HOT, {**VISUAL, "sampling": "interactions", "negatives": "trained"}),
    "tvbpr": ("tvbpr", DENSE, IN_TIME),
    "i-tvbpr": ("i-tvbpr", ONE_HOT, {**IN_TIME, "item_drift": True}),
}


def on(device: str, which: str, **run: Any) -> Model:
    name, features, options = FITS[which]
    return create(name, **options, seed=3, device=device).fit(DATA, features, **run)


def near(found: Model, expected: Model) -> None:
    for name, array in expected.parameters_.arrays().items():
        scale = max(1.0, float(np.abs(array).max(initial=0.0)))
        own = found.parameters_.arrays()[name]
        np.testing.assert_allclose(own, array, rtol=0, atol=TOLERANCE * scale, err_msg=name)


@pytest.mark.parametrize("which", FITS)
def test_a_fit_is_the_cpus_up_to_rounding(which: str) -> None:
    expected, found = on("cpu", which), on("cuda", which)
    near(found, expected)
    assert found.provenance_["device"] == "cuda" and found.provenance_["device_reason"] == "asked for"
    for own, other in zip(found.history_, expected.history_, strict=True):
        assert own["triples"] == other["triples"] and own["fallbacks"] == other["fallbacks"]
        assert own["loss"] == pytest.approx(other["loss"], rel=TOLERANCE)
    # Of one model both devices count and list the same.
    report, same = auc(expected, device="cuda"), auc(expected)
    assert (report.pop("device"), report.pop("device_reason")) == ("cuda", "asked for")
    assert report.pop("seconds") >= 0 and same.pop("seconds") >= 0
    assert report == same
    assert list(expected.recommend_all(3, device="cuda")) == list(expected.recommend_all(3))


def test_models_without_vectors_are_counted_alike() -> None:
    for name in ("rand", "pop"):
        model = create(name, device="cuda").fit(DATA)
        assert auc(model, device="cuda")["all"] == auc(model)["all"]
        assert model.metrics_ == create(name).fit(DATA).metrics_


@pytest.mark.parametrize("sampling", ["users", "interactions"])
@pytest.mark.parametrize("negatives", ["uniform", "trained", "popularity"])
def test_triples_and_rounds_are_the_cpus(negatives: str, sampling: str) -> None:
    train = DATA.train

    def drawn(device: str) -> list[np.ndarray]:
        kernels = backends.kernels(device)
        sampler = TripleSampler(
            train.indptr, train.indices, N, seed=7, negatives=negatives, sampling=sampling, kernels=kernels,
            keep_pairs=True,
        )  # fmt: skip
        found: list[np.ndarray] = []
        for iteration in (1, 2):
            triples = sampler.draw(iteration)
            found += [kernels.get(part).copy() for part in (*triples.rows, triples.pairs)]
            found.append(np.array(triples.fallbacks))
        rounds = sampler.draw_rounds(3)
        used = [slice(*bounds[[0, -1]]) for bounds in rounds.segments.bounds]
        found += [kernels.get(part)[one] for part in rounds.rows for one in used]
        return [*found, rounds.segments.bounds]

    for own, other in zip(drawn("cuda"), drawn("cpu"), strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_state_of_one_device_is_not_gone_on_from_on_another(tmp_path: Path) -> None:
    out = tmp_path / "m.h5"

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "evaluation":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(BaseException, match="Interrupted after iteration 1"):
        on("cuda", "vbpr", out=out, observers=[stop])
    with pytest.raises(UsageError, match="another fit; different: device"):
        on("cpu", "vbpr", out=out, resume=True)
    resumed = on("cuda", "vbpr", out=out, resume=True)
    assert resumed.payload_sha256_ == on("cuda", "vbpr").payload_sha256_


def test_the_command_line_goes_on_after_a_kill(tmp_path: Path) -> None:
    """Fit, SIGKILL, resume: the bits of a fit that nobody killed; then its AUC and lists on the device."""
    data, features = tmp_path / "d.h5", tmp_path / "f.h5"
    DATA.write(data)
    ONE_HOT.write(features)
    options = "--iterations 12 --eval-every 1 --patience 12 --factors 2 --visual-factors 2 --block 8".split()
    line = ["fit", str(data), "--model", "i-vbpr", "--features", str(features), "--device", "cuda", *options]
    killed, whole, state = tmp_path / "m.h5", tmp_path / "w.h5", tmp_path / "m.partial.h5"
    code = "import sys; from ivbpr_cli.app import run; sys.exit(run(sys.argv[1:]))"
    program = [sys.executable, "-c", code, *line, "-o", str(killed)]
    fit = subprocess.Popen(
        program, env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not state.exists():
        assert fit.poll() is None, "the fit ended before it was killed"
        time.sleep(0.02)
    fit.kill()
    fit.wait()
    assert state.exists() and not killed.exists()
    assert command([*line, "-o", str(killed), "--resume", "--quiet"]) == 0
    assert command([*line, "-o", str(whole), "--quiet"]) == 0
    assert load(killed).payload_sha256_ == load(whole).payload_sha256_
    lists = [tmp_path / "cuda.csv", tmp_path / "cpu.csv"]
    for device, path in zip(("cuda", "cpu"), lists):
        assert command(["auc", str(whole), "--device", device, "--quiet"]) == 0
        given = ["recommend", str(whole), "--all-users", "-o", str(path), "-n", "3", "--device", device]
        assert command([*given, "--quiet"]) == 0
    assert lists[0].read_text() == lists[1].read_text()


def test_hogwild_of_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="race on the CPU only"):
        create("vbpr", **{**VISUAL, "update": "hogwild", "device": "cuda"}).fit(DATA, DENSE)


def test_auto_asks_how_much_there_is_to_do() -> None:
    assert backends.choose_device("auto") == ("cuda", "a CUDA device can be used")
    assert backends.choose_device("auto", 1e12) == (
        "cuda",
        "a CUDA device can be used, and the work is worth it",
    )
    device, why = backends.choose_device("auto", 1e6)
    assert device == "cpu" and why.startswith("too little work for a GPU")
    assert create("bpr-mf", **QUICK, device="auto").fit(DATA).provenance_["device"] == "cpu"


def test_what_does_not_fit_into_the_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def to_device(self, array: np.ndarray) -> None:
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

        def current_context(self) -> Any:
            return type("Context", (), {"get_memory_info": lambda self: (3 << 30, 80 << 30)})()

    monkeypatch.setattr(arrays, "cuda", Full())
    with pytest.raises(
        EnvironmentProblem, match=r"full: 0\.00 GiB more are needed, and 3\.00 of 80\.00"
    ) as full:
        create("vbpr", **{**VISUAL, "device": "cuda"}).fit(DATA, DENSE)
    assert full.value.exit_code == 4 and "cpu" in full.value.hint
    with pytest.raises(ZeroDivisionError):
        arrays.guarded(lambda: 1 // 0)()


def test_what_never_changes_is_put_there_once_and_forgotten_with_it() -> None:
    values = np.arange(3, dtype=np.int16)
    first = arrays.resident((values, 4))
    assert arrays.resident((values, 4))[0] is first[0] and first[1] == 4
    kept = len(arrays._kept)
    del values
    assert len(arrays._kept) == kept - 1
    numbers, places = np.array([5, 7, 9], np.int16), np.array([2, 0, 2, 1], np.int32)
    kernels = backends.kernels("cuda")
    found = kernels.get(kernels.take(kernels.put(numbers), kernels.put(places)))
    np.testing.assert_array_equal(found, numbers[places])


def test_counts_of_two_devices_are_equal_where_scores_tie() -> None:
    model = on("cpu", "bpr-mf of two")
    scorer, classes = model.scorer(), item_classes(DATA.train_counts)
    scorer.items.vectors[1::2] = scorer.items.vectors[: N - 1 : 2][: len(scorer.items.vectors[1::2])]
    scorer.items.bias[:] = 0
    asked = questions(DATA, "test")
    own, other = (count(scorer, asked, classes, backends.kernels(device)) for device in ("cuda", "cpu"))
    assert other.equal.sum() > 0
    for name in ("less", "equal", "pairs"):
        np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
