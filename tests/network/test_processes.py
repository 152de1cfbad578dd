"""`ivbpr features extract` in processes of its own: kills, signals, what it imports, its memory."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import kills
import numpy as np
import odd_images
import pytest
from photo_files import pack_tar, write_all
from tiny_networks import PREPROCESSING, SIZE

from ivbpr_numba.features.features import Features
from ivbpr_numba.network.journal import journal_path
from ivbpr_numba.photos.preprocessing import Preprocessing

pytest.importorskip("onnx", reason="networks for tests are made with onnx")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1500 images of 500 items in a tar, some of them broken."""
    rng = np.random.default_rng(2)
    files = {}
    for k in range(1500):
        data = odd_images.saved(odd_images.photo(k), "JPEG")
        files[f"{k % 3}/{k // 3:04}.jpg"] = data[: len(data) // 2] if rng.random() < 0.05 else data
    return pack_tar(tmp_path_factory.mktemp("many") / "many.tar", dict(sorted(files.items())))


class TestProcesses:
    """The installed `ivbpr`, in processes of its own."""

    def words(self, images: Path, net: Path, out: Path, *more: str) -> list[str]:
        return [
            str(kills.SCRIPT),
            "features",
            "extract",
            str(images),
            "--model",
            str(net),
            "-o",
            str(out),
            *more,
        ]

    def struck(self, words: list[str], out: Path, size: int, number: int) -> tuple[int, str]:
        """Send a signal once the journal has `size` bytes; exit code and stderr."""
        process = kills.start(words)
        journal = journal_path(out)
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                if journal.stat().st_size >= size:
                    process.send_signal(number)
                    break
            time.sleep(0.0005)
        return kills.finish(process)

    def test_killed_twice(self, many: Path, net: Path, tmp_path: Path) -> None:
        whole, out = tmp_path / "whole.h5", tmp_path / "attrs.h5"
        code, said = kills.call(self.words(many, net, whole, "--batch", "2"))
        assert (code, said.count("\n")) == (0, 1) and said.startswith(
            "500 items have photos in several folders"
        )
        assert said.strip().isprintable()
        words = self.words(many, net, out, "--batch", "2")
        for size in (30_000, 60_000):
            assert self.struck(words, out, size, signal.SIGKILL)[0] == 128 + signal.SIGKILL
            assert not out.exists() and journal_path(out).stat().st_size >= size
        done = subprocess.run(
            [*words, "--format", "json"], capture_output=True, text=True, env=kills.environment()
        )
        report = json.loads(done.stdout)
        assert 200 < report["resumed"] < 1500
        assert kills.payload_of(out) == kills.payload_of(whole) == report["payload_sha256"]
        assert {p.name for p in tmp_path.iterdir()} == {"whole.h5", "attrs.h5"}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals(self, many: Path, net: Path, tmp_path: Path, number: int) -> None:
        out = tmp_path / "attrs.h5"
        words = self.words(many, net, out, "--batch", "2", "--overwrite")
        code, err = self.struck(words, out, 40_000, number)
        assert code == 128 + number and len(err.splitlines()) == 1
        assert f"Go on with: ivbpr features extract {many} --model {net} -o {out} --batch 2\n" in err
        assert "--resume" not in err
        assert {p.name for p in tmp_path.iterdir()} == {"attrs.h5.partial"}
        assert kills.call(self.words(many, net, out, "--batch", "2"))[0] == 0

    @pytest.mark.slow
    def test_killed_often(self, many: Path, net: Path, tmp_path: Path) -> None:
        out = tmp_path / "attrs.h5"
        command = [*self.words(many, net, out)[1:-2], "--batch", "4"]
        task = kills.Task(command, out, may_stay=("attrs.h5.partial",))
        print(kills.kill_often(task, 40, seed=7))

    def test_no_torch_no_onnx(self, folder: Path, net: Path, tmp_path: Path) -> None:
        code = (
            "import sys\nfrom ivbpr_cli.app import run\n"
            "assert run(sys.argv[1:]) == 0\n"
            "print(*sorted({'torch', 'onnx', 'scipy', 'numba', 'pandas'} & {m.partition('.')[0] for m in sys.modules}))"
        )
        words = self.words(folder, net, tmp_path / "f.h5", "-q", "--format", "csv")[1:]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == ""

    def test_inner_output_without_onnx(self, folder: Path, plain: Path, tmp_path: Path) -> None:
        code = (
            "import sys\nsys.modules['onnx'] = None\nfrom ivbpr_cli.app import run\n"
            "sys.exit(run(sys.argv[1:]))"
        )
        words = self.words(folder, plain, tmp_path / "f.h5", "--preprocess", str(tmp_path / "p.json"))[1:]
        (tmp_path / "p.json").write_text(PREPROCESSING.to_json())
        for more, wanted in ([], 0), (["--output", "inner"], 4):
            done = subprocess.run([sys.executable, "-c", code, *words, *more], capture_output=True, text=True)
            assert done.returncode == wanted, done.stderr
            assert wanted == 0 or "ivbpr[onnx]" in done.stderr

    def test_memory_does_not_grow_with_the_number_of_images(
        self, many: Path, net: Path, tmp_path: Path
    ) -> None:
        """Peak memory of 1500 large pictures, beside that of 30."""
        data = odd_images.saved(odd_images.photo(1, 512, 512), "JPEG")
        large = tmp_path / "large.json"
        large.write_text(Preprocessing(SIZE).to_json())
        peaks = []
        for count in (40, 400):
            place = write_all(tmp_path / str(count), {f"{k}.jpg": data for k in range(count)})
            code = (
                "import resource, sys\nfrom ivbpr_cli.app import run\nassert run(sys.argv[1:]) == 0\n"
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
            )
            words = self.words(place, net, tmp_path / "f.h5", "-q", "--batch", "4", "--threads", "2")[1:]
            done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
            peaks.append(int(done.stderr.split()[-1]))
        assert peaks[1] - peaks[0] < 20_000  # KiB; 360 decoded pictures would take 360 MB


@pytest.mark.real_data
class TestRealData:
    @pytest.mark.slow
    def test_killed_twice_on_real_photos(self, real_data: Path, tmp_path: Path) -> None:
        whole, out = tmp_path / "whole.h5", tmp_path / "f.h5"
        (tmp_path / "p.json").write_text('{"size": [96, 64], "channels": "bgr"}')
        network = real_data / "onnx_squeezenet/squeezenet1.1_fp32.onnx"
        from ivbpr_numba.network.graph import parse, with_free_sides

        small = tmp_path / "small.onnx"
        model = parse(network.read_bytes(), network)
        small.write_bytes(with_free_sides(model, "data_0", (None, 3, None, None)).SerializeToString())
        images = real_data / "hm/images_96x144.tar.gz"
        test = TestProcesses()
        options = ["--preprocess", str(tmp_path / "p.json"), "--output", "fire5/concat_1"]
        assert kills.call(test.words(images, small, whole, *options))[0] == 0
        size = Features.read(whole).matrix.nbytes
        for share in (0.3, 0.7):
            words = test.words(images, small, out, *options)
            assert test.struck(words, out, int(share * size), signal.SIGKILL)[0] == 137
        assert kills.call(test.words(images, small, out, *options))[0] == 0
        assert kills.payload_of(out) == kills.payload_of(whole)
        assert len(Features.read(out)) == 10_695
        print(kills.payload_of(out), "uninterrupted and killed twice")
