"""``python -m benchmarks``: list, run, compare, report."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, GROUPS
from benchmarks.measuring import FORMAT, measured, processes
from benchmarks.peers import PEERS
from benchmarks.plotting import curves
from benchmarks.registry import Missing
from benchmarks.showing import comparison, markdown, table

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="How fast it is, beside others."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="cases, other programs, and the scripts of this folder")
    running = commands.add_parser("run", help="measure cases")
    running.add_argument("cases", nargs="+", metavar="CASE", help="a case or a group of them, see list")
    running.add_argument("--json", type=Path, help="also write every figure")
    reporting = commands.add_parser("report", help="measure everything; Markdown, JSON and SVG in a folder")
    reporting.add_argument("cases", nargs="*", metavar="CASE", help="all where none is named")
    reporting.add_argument("-o", "--out", type=Path, default=Path("benchmark-report"), help="the folder")
    reporting.add_argument("--read", type=Path, help="measure nothing, read this JSON file of run or report")
    for command in (running, reporting):
        command.add_argument("--rounds", type=int, default=3)
        command.add_argument("--threads", nargs="+", type=int, default=[2, 1])
        command.add_argument("--tiny", action="store_true", help="sizes of a test: everything runs, quickly")
    comparing = commands.add_parser("compare", help="two JSON files of run or report")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.command == "list":
        print(listing())
    elif chosen.command == "compare":
        print(comparison(read(chosen.old), read(chosen.new)))
    elif chosen.command == "run":
        run(chosen, parser)
    else:
        report(chosen, parser)


def named(given: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Cases by their names or those of their groups; all where nothing is given."""
    found: dict[str, None] = {}
    for name in given or list(GROUPS):
        if name not in GROUPS and name not in CASES:
            parser.error(f"no case or group is named '{name}'; see: python -m benchmarks list")
        found |= dict.fromkeys([case.name for case in GROUPS[name]] if name in GROUPS else [name])
    return list(found)


def run(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Measure cases and print them."""

    def done(document: dict[str, Any], rows: list[dict[str, Any]], goals: list[dict[str, Any]]) -> None:
        print(table(CASES[rows[0]["case"]].what, rows, goals), end="\n\n", flush=True)
        if chosen.json is not None:  # after every case: what an interrupt costs is one of them
            chosen.json.write_text(json.dumps(document, indent=1) + "\n")

    names = named(chosen.cases, parser)
    with processes(chosen.threads) as pools:
        measured(names, pools, chosen.rounds, chosen.tiny, tell, done)


def report(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Measure all cases, and write report.json, report.md and curves.svg."""
    chosen.out.mkdir(parents=True, exist_ok=True)

    def done(document: dict[str, Any], *_: Any) -> None:
        (chosen.out / "report.json").write_text(json.dumps(document, indent=1) + "\n")

    if chosen.read is not None:
        document = read(chosen.read)
    else:
        names = named(chosen.cases, parser)
        with processes(chosen.threads) as pools:
            document = measured(names, pools, chosen.rounds, chosen.tiny, tell, done)
    drawing = curves(document["rows"])
    if drawing is not None:
        (chosen.out / "curves.svg").write_text(drawing.svg())
    whats = {name: case.what for name, case in CASES.items()}
    text = markdown(document, whats, "curves.svg" if drawing is not None else None)
    (chosen.out / "report.md").write_text(text)
    print(chosen.out / "report.md")


def listing() -> str:
    """Cases by group, other programs, and scripts."""
    lines = []
    for group, cases in GROUPS.items():
        lines.append(f"{group}:")
        lines += [f"  {case.name:32} {case.what}" for case in cases]
    lines.append("other programs:")
    for name, peer in PEERS.items():
        try:
            lines.append(f"  {name:32} {peer.version()}")
        except Missing as problem:
            lines.append(f"  {name:32} {problem}")
    lines.append("scripts, each with --help:")
    for path in sorted(HERE.glob("*.py")):
        text = path.read_text()
        if '__name__ == "__main__"' in text and path.name != "__main__.py":
            said = " ".join((ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0].split())
            lines.append(f"  {'benchmarks/' + path.name:32} {said}")
    return "\n".join(lines)


def read(path: Path) -> dict[str, Any]:
    """A document of `run` or `report`."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        sys.exit(f"'{path}' can't be read: {problem}")
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        sys.exit(f"'{path}' was not written by 'python -m benchmarks'.")
    return document


def tell(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
