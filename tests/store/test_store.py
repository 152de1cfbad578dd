"""The store: what is written is what is read, and nothing damaged passes for whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ivbpr_numba.errors import CheckFailed, DataError, EnvironmentProblem, UsageError
from ivbpr_numba.store import atomic
from ivbpr_numba.store.atomic import lock, replacing, write_bytes
from ivbpr_numba.store.digest import digest_objects
from ivbpr_numba.store.files import read_tree, write_tree
from ivbpr_numba.store.tree import Tree
from ivbpr_numba.store.verify import inspect, verify

ROOT = Path(__file__).parents[2]
PAYLOAD = ("/ids/users", "/params/x", "/@model")


def sample() -> Tree:
    return Tree(
        "ivbpr-model",
        {
            "/ids/users": np.array([b"anna", b"bo", "zoë".encode()]),
            "/config": '{"factors": 10, "name": "ü"}',
            "/params/x": np.arange(12, dtype=np.float32).reshape(3, 4),
            "/params/temporal/edges": np.array([0, 5, 9], dtype=np.int64),
            "/seed": np.array(7, dtype=np.uint64),
            "/none": np.zeros((0, 4), dtype=np.float16),
            "/empty": "",
        },
        {"model": "vbpr", "iterations": 12, "rate": 0.5},
    )


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(
        (isinstance(a, str) and a == b)
        or (
            isinstance(a, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and a.tobytes() == b.tobytes()
        )
        for a, b in ((left[k], right[k]) for k in left)
    )


def run_python(code: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own: a hang or a crash of HDF5 must fail one test, not the run."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )


# --- an implementation of data/FORMAT.md by somebody who has only h5py ---


def stranger_stream(name: str, value: np.ndarray | str) -> bytes:
    def number(n: int) -> bytes:
        return n.to_bytes(8, "little")

    def text(s: bytes) -> bytes:
        return number(len(s)) + s

    out = text(name.encode())
    if isinstance(value, str):
        return out + text(b"text") + number(0) + text(value.encode())
    out += text(value.dtype.str.encode()) + number(value.ndim) + b"".join(number(n) for n in value.shape)
    return out + value.tobytes()


def stranger_digest(values: dict[str, np.ndarray | str]) -> str:
    names = sorted(values, key=lambda n: n.encode())
    return hashlib.sha256(b"".join(stranger_stream(n, values[n]) for n in names)).hexdigest()


def stranger_values(path: Path) -> dict[str, np.ndarray | str]:
    found: dict[str, np.ndarray | str] = {}

    def visit(name: str, node: h5py.HLObject) -> None:
        if isinstance(node, h5py.Dataset):
            value = node[()]
            found["/" + name] = value.decode() if isinstance(value, bytes) else np.asarray(value)

    with h5py.File(path) as file:
        file.visititems(visit)
        for name, value in file.attrs.items():
            if name not in ("payload_sha256", "content_sha256"):
                found[f"/@{name}"] = value.decode() if isinstance(value, bytes) else np.asarray(value)
    return found


# --- round trips and digests ---


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    digest = write_tree(path, sample(), payload=PAYLOAD)
    tree = read_tree(path, "ivbpr-model")
    assert same(tree.objects, sample().objects)
    assert tree.attrs["payload_sha256"] == digest
    assert {k: tree.attrs[k] for k in ("model", "iterations", "rate")} == sample().attrs
    assert tree.attrs["format_version"] == "1.0"
    assert verify(path).ok
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.h5"]


NAMES = st.text("abcxyzäß_", min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
NUMBERS = st.sampled_from(["<f2", "<f4", "<f8", "<i4", "<i8", "<u1", "<u8", "?", ">i4", ">f8"])
ARRAYS = st.one_of(
    NUMBERS.flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    st.lists(TEXTS.map(str.encode), max_size=5).map(lambda t: np.array(t, dtype=np.bytes_)),
)


@given(
    objects=st.dictionaries(
        st.lists(NAMES, min_size=2, max_size=3).map(tuple), st.one_of(TEXTS, ARRAYS), max_size=5
    ),
    attrs=st.dictionaries(
        NAMES, st.one_of(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)), max_size=4
    ),
)
def test_any_tree_survives(tmp_path_factory: pytest.TempPathFactory, objects: dict, attrs: dict) -> None:
    # The depth is part of the path: no object may have the path of another's folder.
    tree = Tree("ivbpr-truth", {f"/{len(k)}/" + "/".join(k): v for k, v in objects.items()}, attrs)
    path = tmp_path_factory.mktemp("any") / "t.h5"
    digest = write_tree(path, tree, payload=sorted(tree.objects))
    back = read_tree(path, "ivbpr-truth")
    assert back.objects.keys() == tree.objects.keys()
    for name, value in tree.objects.items():
        if isinstance(value, str):
            assert back.objects[name] == value
        else:
            assert back.objects[name].shape == value.shape
            assert back.objects[name].tolist() == value.tolist() or np.isnan(value.astype(float)).any()
    assert {k: back.attrs[k] for k in attrs} == attrs
    assert back.attrs["payload_sha256"] == digest
    values = stranger_values(path)
    with h5py.File(path) as file:
        recorded = file.attrs["content_sha256"].decode()
    assert stranger_digest(values) == recorded
    assert stranger_digest({n: v for n, v in values.items() if n in tree.objects}) == digest
    assert verify(path).ok


def test_digest_is_the_documented_stream() -> None:
    values = {"/b": np.array([[1, 2]], dtype=">i4"), "/a": "ü", "/c": np.array([b"x", b"yy"])}
    little = {**values, "/b": values["/b"].astype("<i4")}
    assert digest_objects(values) == stranger_digest(little)
    # The same digest for ever: files of today must verify tomorrow.
    assert digest_objects(values) == "950852d81c78c231b021ef9deda6e5dc85f818fe0748f23e5cc8b5724cdbedb1"


@pytest.mark.parametrize(
    "other",
    [
        {"/a": np.array([1, 2], dtype=np.int32)},
        {"/a": np.array([[1], [2]], dtype=np.int64)},
        {"/a": np.array([2, 1], dtype=np.int64)},
        {"/b": np.array([1, 2], dtype=np.int64)},
        {"/a": np.array([1, 2], dtype=np.int64), "/b": ""},
    ],
)
def test_digest_sees_every_difference(other: dict) -> None:
    assert digest_objects(other) != digest_objects({"/a": np.array([1, 2], dtype=np.int64)})


def test_digest_ignores_the_width_and_layout_of_arrays() -> None:
    wide, narrow = np.array([b"a", b"b"], dtype="S20"), np.array([b"a", b"b"])
    assert digest_objects({"/i": wide}) == digest_objects({"/i": narrow})
    square = np.arange(6.0).reshape(2, 3)
    assert digest_objects({"/s": np.asfortranarray(square)}) == digest_objects({"/s": square})


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    write_tree(tmp_path / "a.h5", sample(), payload=PAYLOAD)
    write_tree(tmp_path / "b.h5", sample(), payload=PAYLOAD)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_payload_covers_only_what_it_names(tmp_path: Path) -> None:
    tree = sample()
    first = write_tree(tmp_path / "a.h5", tree, payload=PAYLOAD)
    tree.objects["/config"] = "other"
    assert write_tree(tmp_path / "b.h5", tree, payload=PAYLOAD) == first
    tree.objects["/params/x"] = tree.array("/params/x") + 1
    assert write_tree(tmp_path / "c.h5", tree, payload=PAYLOAD) != first


def test_payload_of_explicit_values_can_be_verified_from_the_file(tmp_path: Path) -> None:
    tree, path = sample(), tmp_path / "m.h5"
    payload = {"/ids/users": tree.array("/ids/users"), "/config": '{"factors": 10}', "features": "ab" * 32}
    digest = write_tree(path, tree, payload=payload)
    assert digest == digest_objects(payload)
    assert verify(path).ok
    assert same(read_tree(path, "ivbpr-model").objects, tree.objects)


def test_unknown_payload_names_and_bad_paths_are_bugs(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_tree(tmp_path / "m.h5", sample(), payload=["/params/none"])
    for path in ("params/x", "/digests/x", "/payload/x"):
        with pytest.raises(ValueError, match="not a path"):
            write_tree(tmp_path / "m.h5", Tree("ivbpr-model", {path: "x"}), payload=[])
    with pytest.raises(ValueError, match="NUL"):
        write_tree(tmp_path / "m.h5", Tree("ivbpr-model", {"/x": "a\0"}), payload=[])
    with pytest.raises(TypeError):
        write_tree(tmp_path / "m.h5", Tree("ivbpr-model", {"/x": np.array([object()])}), payload=[])
    assert list(tmp_path.iterdir()) == []


def test_unknown_nodes_of_a_later_minor_version_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    tree = sample()
    tree.objects["/future/thing"] = np.arange(3)
    tree.attrs["/params@unit"] = "none"
    write_tree(path, tree, payload=PAYLOAD)
    with h5py.File(path) as file:
        assert file["params"].attrs["unit"] == b"none"
    again = read_tree(path, "ivbpr-model")
    again.objects["/params/x"] = again.array("/params/x") * 2
    write_tree(path, again, payload=PAYLOAD)
    last = read_tree(path, "ivbpr-model")
    assert last.array("/future/thing").tolist() == [0, 1, 2]
    assert last.attrs["/params@unit"] == "none"
    assert verify(path).ok


def test_a_node_added_later_is_kept_but_told(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_tree(path, sample(), payload=PAYLOAD)
    with h5py.File(path, "r+") as file:
        file["note"] = np.arange(3)
        file.attrs["by"] = "me"
    assert read_tree(path, "ivbpr-model").array("/note").tolist() == [0, 1, 2]
    report = verify(path)
    assert report.mismatches == ["/@by was added", "/note was added"]
    with pytest.raises(CheckFailed):
        report.raise_for_mismatch()


# --- files that are not what they should be ---


def test_missing_other_and_newer_files(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with pytest.raises(UsageError, match="no such file"):
        read_tree(path, "ivbpr-model")
    path.write_bytes(b"PK\3\4 not HDF5")
    with pytest.raises(DataError, match="not an HDF5 file"):
        read_tree(path, "ivbpr-model")
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match="no ivbpr format"):
        read_tree(path, "ivbpr-model")
    path.unlink()
    write_tree(path, sample(), payload=PAYLOAD)
    with pytest.raises(DataError, match="ivbpr-model file; this needs an ivbpr-dataset"):
        read_tree(path, "ivbpr-dataset")
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = "2.0"
    with pytest.raises(DataError, match=r"version 2\.0; this program knows 1\.1"):
        read_tree(path, "ivbpr-model")
    with pytest.raises(DataError, match="Install a newer"):
        verify(path)
    for folder in (tmp_path, tmp_path / "no" / "folder.h5"):
        with pytest.raises(UsageError):
            read_tree(folder, "ivbpr-model")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_tree(path, sample(), payload=PAYLOAD)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 101), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            read_tree(path, "ivbpr-model")


def stored_bytes(path: Path) -> list[tuple[str, int]]:
    """Name and file position of every byte of every value."""
    places: list[tuple[str, int]] = []

    def visit(name: str, node: h5py.HLObject) -> None:
        if isinstance(node, h5py.Dataset) and node.id.get_offset() is not None:
            start = node.id.get_offset()
            places.extend(("/" + name, k) for k in range(start, start + node.id.get_storage_size()))

    with h5py.File(path) as file:
        file.visititems(visit)
    return places


def test_every_flipped_byte_of_a_value_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_tree(path, sample(), payload=PAYLOAD)
    whole = path.read_bytes()
    places = stored_bytes(path)
    assert len(places) > 1000
    rng = np.random.default_rng(3)
    for name, position in places[:: max(1, len(places) // 150)]:
        damaged = bytearray(whole)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        report = verify(path)
        assert not report.ok
        if not name.startswith("/digests/"):
            assert f"{name} differs" in report.mismatches
        with pytest.raises(DataError, match="changed since it was written"):
            read_tree(path, "ivbpr-model")


def test_wrong_digests_are_found(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    for name in ("payload_sha256", "content_sha256"):
        write_tree(path, sample(), payload=PAYLOAD)
        with h5py.File(path, "r+") as file:
            file.attrs.modify(name, np.array(b"0" * 64, dtype=h5py.string_dtype("utf-8", 64)))
        assert not verify(path).ok
    with pytest.raises(DataError):
        read_tree(path, "ivbpr-model")


def test_random_damage_never_hangs_crashes_or_passes(tmp_path: Path) -> None:
    write_tree(tmp_path / "m.h5", sample(), payload=PAYLOAD)
    # The process prints one line for each way to end; anything else than these (a crash, a hang, another
    # exception, other values) fails.
    done = run_python(
        """
        import random, sys
        from pathlib import Path
        from ivbpr_numba.errors import DataError
        from ivbpr_numba.store.files import read_tree
        from ivbpr_numba.store.digest import digest_objects
        folder = Path(sys.argv[1]); whole = (folder / "m.h5").read_bytes()
        truth = digest_objects(read_tree(folder / "m.h5", "ivbpr-model").objects)
        chance, counts = random.Random(11), {"refused": 0, "same": 0}
        for k in range(600):
            data = bytearray(whole)
            at = chance.randrange(len(data))
            if k % 3 == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif k % 3 == 1:
                data[at:at + 32] = chance.randbytes(len(data[at:at + 32]))
            else:
                data[at:at + 256] = bytes(len(data[at:at + 256]))
            (folder / "d.h5").write_bytes(data)
            try:
                tree = read_tree(folder / "d.h5", "ivbpr-model")
            except DataError:
                counts["refused"] += 1
            else:
                assert digest_objects(tree.objects) == truth, at
                counts["same"] += 1
        print(counts["refused"], counts["same"])
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    refused, unchanged = map(int, done.stdout.split())
    assert refused + unchanged == 600
    assert unchanged < 120  # hits in the bytes between objects that HDF5 does not use


@pytest.mark.parametrize("kind", ["chunked", "external", "soft link", "variable text", "compound", "huge"])
def test_foreign_storage_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["format"], file.attrs["format_version"] = "ivbpr-model", "1.0"
        if kind == "chunked":
            file.create_dataset("x", data=np.zeros(1000), compression="gzip")
        elif kind == "external":
            file.create_dataset("x", (10,), "f8", external=[(str(tmp_path / "raw"), 0, 80)])
        elif kind == "soft link":
            file["x"] = h5py.SoftLink("/y")
        elif kind == "variable text":
            file["x"] = ["a", "b"]
        elif kind == "compound":
            file["x"] = np.zeros(2, dtype=[("a", "f4")])
        else:  # 4 TiB that were never written
            file.create_dataset("x", (1 << 39,), "f8")
    with pytest.raises(DataError) as caught:
        read_tree(path, "ivbpr-model")
    assert "/x" in caught.value.message
    assert caught.value.hint


# --- writing ---


class FullDisk:
    """A disk that fills after some calls of one function of os."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, name: str, calls: int, number: int = errno.ENOSPC
    ) -> None:
        real = getattr(os, name)
        left = [calls]

        def fails(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **named)

        monkeypatch.setattr(atomic.os, name, fails)


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("posix_fallocate", 0),
        ("pwrite", 0),
        ("pwrite", 1),
        ("fsync", 0),
        ("replace", 0),
        ("fchmod", 0),
        ("pread", 0),
    ],
)
def test_a_failing_disk_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, calls: int
) -> None:
    path = tmp_path / "m.h5"
    write_tree(path, sample(), payload=PAYLOAD)
    before = path.read_bytes()
    changed = sample()
    changed.objects["/config"] = "changed"
    with monkeypatch.context() as patch:
        # The first pwrite is the pid in the lock file, a courtesy that may fail.
        FullDisk(patch, name, calls)
        with pytest.raises(EnvironmentProblem, match="no space left") as caught:
            write_tree(path, changed, payload=PAYLOAD)
    assert caught.value.exit_code == 4
    assert str(path) in caught.value.message
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.h5"]
    write_tree(path, changed, payload=PAYLOAD)
    assert read_tree(path, "ivbpr-model").text("/config") == "changed"


def test_permission_is_an_environment_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FullDisk(monkeypatch, "open", 0, errno.EACCES)
    with pytest.raises(EnvironmentProblem, match="no permission"):
        write_bytes(tmp_path / "x.csv", b"a")


def test_a_disk_that_really_is_full(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    ) if os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        path = tmp_path / "m.h5"
        write_tree(path, sample(), payload=PAYLOAD)
        big = sample()
        big.objects["/params/x"] = np.zeros(200_000)
        # In a process of its own: HDF5 on a full disk ends with a signal, and so would the test run.
        done = run_python(
            """
            import sys, numpy as np
            from ivbpr_numba.features.features import Features
            from ivbpr_numba.errors import EnvironmentProblem
            from ivbpr_numba.store.files import write_tree
            from ivbpr_numba.store.tree import Tree
            target = sys.argv[1]
            for write in (
                lambda: write_tree(target, Tree("ivbpr-model", {"/x": np.zeros(200_000)}), payload=["/x"]),
                lambda: Features.from_arrays(range(2000), np.ones((2000, 100))).write(target.replace("m.h5", "f.h5")),
                lambda: Features.from_arrays(range(30000), np.eye(30000, 50)).write(target.replace("m.h5", "f.h5"), layout="sparse"),
            ):
                try:
                    write()
                except EnvironmentProblem as problem:
                    print(problem.exit_code)
            """,
            path,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["4", "4", "4"]
        assert verify(path).ok
        assert [p.name for p in tmp_path.iterdir()] == ["m.h5"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder does not exist"):
        write_tree(tmp_path / "none" / "m.h5", sample(), payload=PAYLOAD)
    with pytest.raises(UsageError, match="it is a folder"):
        write_tree(tmp_path, sample(), payload=PAYLOAD)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        write_bytes(tmp_path / "pipe", b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_links_and_permissions_of_the_target_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_bytes(b"text\nold")
    real.chmod(0o640)
    link.symlink_to(real)
    write_bytes(link, [b"text\nnew ", b"content"])
    assert link.is_symlink()
    assert real.read_bytes() == b"text\nnew content"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_an_exception_while_content_is_made_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"text\nold")

    def content():
        yield b"text\nhalf"
        raise FileNotFoundError(errno.ENOENT, "the input, not the output")

    with pytest.raises(FileNotFoundError):
        write_bytes(path, content())
    assert path.read_bytes() == b"text\nold"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_content_that_reads_back_differently_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pread
    monkeypatch.setattr(atomic.os, "pread", lambda fd, size, at: bytes(b ^ 1 for b in real(fd, size, at)))
    with pytest.raises(EnvironmentProblem, match="reads back differently"):
        write_bytes(tmp_path / "x", b"abc")
    assert list(tmp_path.iterdir()) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(atomic.os, "pwrite", lambda fd, data, at: real(fd, data[:7], at))
    write_bytes(tmp_path / "x", bytes(range(200)))
    assert (tmp_path / "x").read_bytes() == bytes(range(200))


# --- locks and dead writers ---


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with lock(path) as held:
        with pytest.raises(UsageError, match=f"being written by another process .pid {os.getpid()}"):
            write_tree(path, sample(), payload=PAYLOAD)
        done = run_python(
            "import sys\nfrom ivbpr_numba.store.atomic import write_bytes\nwrite_bytes(sys.argv[1], b'x')",
            path,
        )
        assert "UsageError" in done.stderr
        assert not path.exists()
        write_tree(path, sample(), payload=PAYLOAD, keep_lock=held)
        write_tree(tmp_path / "m.partial.h5", sample(), payload=PAYLOAD, keep_lock=held)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.h5", "m.partial.h5"]
    with pytest.raises(RuntimeError), lock(path):
        raise RuntimeError
    write_tree(path, sample(), payload=PAYLOAD)


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(b"old")
    done = run_python(
        """
        import os, signal, sys
        from ivbpr_numba.store.atomic import replacing
        with replacing(sys.argv[1]) as temporary:
            temporary.write(b"half", 0)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        path,
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    left = {p.name for p in tmp_path.iterdir()}
    assert len(left) == 3, left  # the file, its lock, the temporary
    (tmp_path / "m.h5.tmp-notes").write_bytes(b"not ours")
    with replacing(path) as temporary:
        assert temporary.path.name == f"m.h5.tmp-{os.getpid()}"
        temporary.write(b"new", 0)
    assert path.read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.h5", "m.h5.tmp-notes"]


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("held", [False, True])
def test_an_interruption_between_any_two_steps_leaves_no_litter(
    tmp_path: Path, step: int, held: bool
) -> None:
    """A signal becomes an exception anywhere, also just after a file was made and before that is noted.

    The lock of another writer stays.
    """
    done = run_python(
        """
        import atexit, contextlib, os, sys
        from pathlib import Path
        from ivbpr_numba.errors import UsageError
        from ivbpr_numba.store import atomic
        folder, step, held = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
        target = folder / "x"
        if held:
            lock = contextlib.ExitStack()
            lock.enter_context(atomic.lock(target))
            inode = (folder / "x.lock").stat().st_ino
        def attempt(last):
            left = last
            def at(frame, event, argument):
                nonlocal left
                if not frame.f_code.co_filename.endswith("atomic.py"):
                    return None
                frame.f_trace_opcodes = True
                if event == "opcode":
                    left -= 1
                    if left == 0:
                        sys.settrace(None)
                        raise KeyboardInterrupt
                return at
            sys.settrace(at)
            try:
                atomic.write_bytes(target, b"x\\nnew")
            except (KeyboardInterrupt, UsageError):
                pass
            sys.settrace(None)
            return left
        last = 0
        while True:
            last += step
            target.write_bytes(b"x\\nold")
            child = os.fork()
            if not child:
                left = attempt(last)
                atexit._run_exitfuncs()
                os._exit(int(left > 0))
            complete = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            names = sorted(p.name for p in folder.iterdir())
            assert names == (["x", "x.lock"] if held else ["x"]), (last, names)
            if held:
                assert (folder / "x.lock").stat().st_ino == inode
                assert target.read_bytes() == b"x\\nold"
            else:
                assert target.read_bytes() in ((b"x\\nnew",) if complete else (b"x\\nold", b"x\\nnew")), last
            if complete:
                break
        print(last)
        """,
        tmp_path,
        step,
        held,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


WRITER = """
import os, sys, time
from contextlib import ExitStack
from ivbpr_numba.store.atomic import lock
how, path = sys.argv[1:]
with ExitStack() as stack:
    if how == "lock":
        stack.enter_context(lock(path))
    else:
        stack.enter_context(open(path, how))
    print(os.getpid(), flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def another_process(how: str, path: Path) -> Iterator[int]:
    """Its number, while it holds the lock of `path`, or has it open."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, how, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.parametrize("content", ["none", "cut", "text", "checkpoint", "journal"])
def test_what_another_process_writes_is_not_called_damaged(tmp_path: Path, content: str) -> None:
    target = tmp_path / "m.h5"
    path = {"checkpoint": tmp_path / "m.partial.h5", "journal": tmp_path / "m.h5.partial"}.get(
        content, target
    )
    if content == "checkpoint":
        write_tree(path, Tree("ivbpr-checkpoint", {"/x": "y"}), payload=["/x"])
    elif content == "journal":
        path.write_bytes(b"ivbpr extraction journal 1\n")
    elif content == "cut":
        write_tree(path, sample(), payload=PAYLOAD)
        path.write_bytes(path.read_bytes()[:-1])
    elif content == "text":
        path.write_text("HDF")
    with another_process("lock", target) as pid:
        with pytest.raises(UsageError, match=f"m.*is being written by another process .pid {pid}") as caught:
            read_tree(path, "ivbpr-model")
        assert caught.value.hint == "Wait for it to finish."
        os.kill(pid, signal.SIGKILL)
    assert (tmp_path / "m.h5.lock").exists()  # of a dead process: it counts for nothing
    said = {
        "none": "no such file",
        "cut": "damaged or cut short",
        "text": "not an HDF5 file",
        "checkpoint": "state of an unfinished fit, not an ivbpr-model file",
        "journal": "unfinished work of `ivbpr features extract`",
    }
    with pytest.raises(UsageError if content == "none" else DataError, match=said[content]):
        read_tree(path, "ivbpr-model")


def test_a_whole_file_is_read_while_its_successor_is_written(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_tree(path, sample(), payload=PAYLOAD)
    with another_process("lock", path):
        assert same(read_tree(path, "ivbpr-model").objects, sample().objects)


def test_a_foreign_writer_is_told_from_a_foreign_reader(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n\x03 the beginning of a download")
    with another_process("ab", path) as pid, pytest.raises(UsageError, match=f"pid {pid}"):
        read_tree(path, "ivbpr-model")
    with another_process("rb", path), pytest.raises(DataError, match="damaged or cut short"):
        read_tree(path, "ivbpr-model")


def test_inspect_tells_what_a_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    write_tree(path, sample(), payload=PAYLOAD)
    content = inspect(path)
    assert content["format"] == "ivbpr-model"
    assert content["attrs"] == sample().attrs
    assert content["documents"] == {"/config": {"factors": 10, "name": "ü"}}
    rows = {row["path"]: row for row in content["objects"]}
    assert rows["/params/x"] == {"path": "/params/x", "shape": [3, 4], "dtype": "<f4", "bytes": 48}
    assert list(rows) == sorted(sample().objects)
    assert content["changed"] == []


# --- data/FORMAT.md ---


def test_the_program_of_the_format_document_checks_our_files(tmp_path: Path) -> None:
    from ivbpr_numba.features.features import Features

    document = (ROOT / "data" / "FORMAT.md").read_text(encoding="utf-8")
    program = document.split("```python\n")[1].split("```")[0]
    tree = sample()
    tree.attrs["/params@unit"] = "none"
    write_tree(tmp_path / "m.h5", tree, payload={"/ids/users": tree.array("/ids/users"), "/config": "{}"})
    features = Features.from_arrays(["a", "b"], np.eye(2))
    features.write(tmp_path / "f.h5")
    features.write(tmp_path / "s.h5", layout="sparse")
    Features.from_arrays(["a", "b"], np.eye(2) / 2).write(tmp_path / "t.h5", layout="sparse")
    for name in ("m.h5", "f.h5", "s.h5", "t.h5"):
        done = run_python(program, tmp_path / name)
        assert done.stdout == "content True\npayload True\n", done.stderr
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["params/x"][0, 0] = 5
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["sparse/indices"][0] = 1
    for name in ("m.h5", "s.h5"):
        assert run_python(program, tmp_path / name).stdout == "content False\npayload True\n"


def test_the_check_values_of_the_format_document() -> None:
    from ivbpr_numba.kernels.scalar.random import bounded, mix64

    document = (ROOT / "data" / "FORMAT.md").read_text(encoding="utf-8")
    assert f"mix64(1, 2, 3) = `0x{mix64(1, 2, 3):016X}`" in document
    order = list(range(5))
    for r in range(4, 0, -1):
        s = int(bounded(np.uint64(mix64(7, r)), r + 1))
        order[r], order[s] = order[s], order[r]
    assert f"key 7 is {', '.join(map(str, order))}." in document
