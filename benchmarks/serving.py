"""How fast ``ivbpr serve`` answers, for how many visitors, and whether its memory stays what it is.

    python -m benchmarks.serving --items 3000 100000 --attributes 49 400
    python -m benchmarks.serving --items 1400000 --attributes 400 --tags 6 --clients 1 --memory 0
    python -m benchmarks.serving … --write benchmarks/SERVING.md

A random I-VBPR model (K = D = 10) is written to a folder and served by a process of its own on this machine;
the visitors are connections of this process, which takes a part of the cores too. Every visitor asks anew as
soon as it has an answer.

    step        a list of 24 after one to three steps, nothing of it kept from before
    mixture     60 % steps, 20 % drawn pictures, and terms of scores, purchases, searches, items alike

Of each: requests a second, the median and the 99th percentile of what a visitor waits. One JSON object is
printed for each size, then a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.answer_time import USERS
from benchmarks.steering import build

SCRIPT = Path(sys.executable).with_name("ivbpr")
SHOWN = 24
Ask = Callable[[random.Random], str]


class Asking:
    """Addresses of all kinds, at random."""

    def __init__(self, n_items: int, names: list[str]) -> None:
        self._n_items, self._names = n_items, names

    def _item(self, chance: random.Random) -> str:
        return f"p{chance.randrange(self._n_items):08}"

    def _session(self, chance: random.Random) -> str:
        steps = [f"user=u{chance.randrange(USERS):06}"]
        for _ in range(chance.randint(1, 3)):
            if chance.random() < 0.7:
                name = chance.choice(self._names).replace("=", "%3D")
                steps.append(f"boost={name}:{chance.uniform(-1, 1):.2f}")
            else:
                steps.append(f"toward={self._item(chance)}:1")
        return "&".join(steps)

    def step(self, chance: random.Random) -> str:
        """A list after some steps."""
        return f"/api/recommend?{self._session(chance)}&n={SHOWN}"

    def mixture(self, chance: random.Random) -> str:
        """Anything that a page asks for."""
        kind = chance.random()
        if kind < 0.6:
            return self.step(chance)
        if kind < 0.8:
            return f"/images/{self._item(chance)}"
        if kind < 0.88:
            return f"/api/explain?{self._session(chance)}&item={self._item(chance)}"
        if kind < 0.93:
            return f"/api/users/u{chance.randrange(USERS):06}"
        if kind < 0.98:
            return f"/api/items?q={chance.randrange(1000):03}"
        return f"/api/items/{self._item(chance)}"


async def visit(
    port: int, ask: Ask, chance: random.Random, end: Callable[[], bool], waits: list[float]
) -> None:
    """One visitor: a connection that asks until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not end():
        path = ask(chance)
        begin = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(size)
        waits.append(time.perf_counter() - begin)
        if status != 200:
            raise SystemExit(f"{path} was answered with {status}.")
    writer.close()


async def visitors(
    port: int, ask: Ask, clients: int, seconds: float = 0.0, requests: int = 0
) -> dict[str, float]:
    """So many visitors for so many seconds, or until so many requests are answered."""
    waits: list[float] = []
    begin = time.perf_counter()

    def end() -> bool:
        return len(waits) >= requests if requests else time.perf_counter() - begin >= seconds

    await asyncio.gather(*(visit(port, ask, random.Random(seed), end, waits) for seed in range(clients)))
    taken = time.perf_counter() - begin
    return {
        "clients": clients,
        "requests": len(waits),
        "per_second": len(waits) / taken,
        "median_ms": 1000 * float(np.median(waits)),
        "p99_ms": 1000 * float(np.percentile(waits, 99)),
    }


def resident(process: int) -> float:
    """Memory of a process, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def measure(
    n_items: int, n_attributes: int, tags: float, clients: list[int], seconds: float, memory: int
) -> dict[str, Any]:
    """Serve a random model of one size and ask it."""
    with tempfile.TemporaryDirectory() as folder:
        model, features = build(n_items, n_attributes, tags)
        features.write(Path(folder, "f.h5"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the features are named when it is served
            model.save(Path(folder, "m.h5"))
        asking = Asking(n_items, features.names)
        del model, features
        words = [
            SCRIPT,
            "serve",
            Path(folder, "m.h5"),
            "--features",
            Path(folder, "f.h5"),
            "--port",
            "0",
            "--quiet",
        ]
        begin = time.perf_counter()
        with subprocess.Popen([str(word) for word in words], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = ""
            while "http://" not in said:
                said = process.stderr.readline()
                if not said:
                    raise SystemExit("The server did not start.")
            start = time.perf_counter() - begin
            port = int(said.split("http://")[1].split("/")[0].rpartition(":")[2])
            try:
                return {
                    "items": n_items,
                    "attributes": n_attributes,
                    "start_s": start,
                    **{
                        kind: [asyncio.run(visitors(port, ask, number, seconds)) for number in clients]
                        for kind, ask in (("step", asking.step), ("mixture", asking.mixture))
                    },
                    "memory": watched(process.pid, port, asking.mixture, memory),
                    "cores": len(os.sched_getaffinity(0)),
                }
            finally:
                process.terminate()


def watched(process: int, port: int, ask: Ask, requests: int) -> dict[str, Any] | None:
    """Memory after each tenth of so many requests by 8 visitors."""
    if not requests:
        return None
    sizes = [resident(process)]
    for _ in range(10):
        asyncio.run(visitors(port, ask, 8, requests=requests // 10))
        sizes.append(resident(process))
    return {"requests": requests, "mb": [round(size, 1) for size in sizes]}


def table(found: list[dict[str, Any]]) -> str:
    """What was measured, as Markdown."""
    lines = [
        "| items × attributes | asked | visitors | requests a second | median, ms | 99 %, ms |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        size = f"{one['items']:,} × {one['attributes']:,}"
        for kind in ("step", "mixture"):
            for row in one[kind]:
                figures = (f"{row['per_second']:,.0f}", f"{row['median_ms']:.1f}", f"{row['p99_ms']:.1f}")
                lines.append(f"| {' | '.join([size, kind, str(row['clients']), *figures])} |")
    lines.append("")
    for one in found:
        if one["memory"]:
            sizes = one["memory"]["mb"]
            asked = f"{one['memory']['requests']:,} requests of the mixture"
            sizes = [f"{size:,.0f} MB" for size in (sizes[0], sizes[5], sizes[-1])]
            lines.append(f"Memory of the server, {one['items']:,} items, over {asked}: {', '.join(sizes)}.\n")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[3000, 100_000])
    parser.add_argument("--attributes", type=int, nargs="+", default=[49, 400], help="of each size")
    parser.add_argument("--tags", type=float, default=3.0, help="tags of an item, on average")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument(
        "--memory", type=int, default=20_000, help="requests over which memory is watched, or 0"
    )
    parser.add_argument("--write", type=Path, help="a Markdown file for the table")
    asked = parser.parse_args(arguments)
    found = []
    for n_items, n_attributes in zip(asked.items, asked.attributes, strict=True):
        found.append(measure(n_items, n_attributes, asked.tags, asked.clients, asked.seconds, asked.memory))
        print(json.dumps(found[-1]), flush=True)
    text = table(found)
    print(text)
    if asked.write is not None:
        head = (
            f"# How fast the server answers\n\n`python -m benchmarks.serving`, {found[0]['cores']} cores.\n\n"
        )
        asked.write.write_text(head + text)


if __name__ == "__main__":
    main()
