"""The documents say what is true: commands, options and rooms that they name exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ivbpr_cli.app import build
from ivbpr_cli.reference import reference
from ivbpr_cli.settings import PANEL
from ivbpr_numba.guides import TOPICS
from ivbpr_numba.models.specifications import PRESETS, SPECIFICATIONS

ROOT = Path(__file__).parents[2]
GUIDES = [f"ivbpr_numba/guides/{topic}.md" for topic in TOPICS]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/FORMAT.md", *GUIDES]
LINKED = [
    *DOCUMENTS,
    "data/assets.md",
    "benchmarks/ABLATION.md",
    "benchmarks/README.md",
    "benchmarks/PEERS.md",
]
TREE = build()


def command_lines(text: str) -> Iterator[list[str]]:
    """Every command line of ivbpr in a code block: indented or fenced, with its continuation lines."""
    text = re.sub(r"\\\n\s*", " ", text)
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            for part in re.split(r"&&|\|\||[|;]", line.strip()):
                words = shlex.split(part.strip().removeprefix("$ "), comments=True) if "ivbpr" in part else []
                if words and Path(words[0]).name == "ivbpr" and words[0] not in ("/ivbpr",):
                    yield words


def resolve(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that a line runs, its name, and what follows."""
    command, name, rest = TREE, "ivbpr", words[1:]
    while rest and getattr(command, "commands", {}).get(rest[0]) is not None:
        command, name, rest = command.commands[rest[0]], f"{name} {rest[0]}", rest[1:]
    return command, name, rest


def flags_of(command: Any) -> set[str]:
    return {"--help"} | {
        flag for p in command.params for flag in (*p.opts, *p.secondary_opts) if flag.startswith("-")
    }


def leaves(command: Any, name: str = "ivbpr") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield name, command
    for key, child in children.items():
        yield from leaves(child, f"{name} {key}")


LINES = [
    pytest.param(words, id=f"{document}: {' '.join(words[:3])}")
    for document in DOCUMENTS
    for words in command_lines((ROOT / document).read_text())
]


def test_the_readme_has_examples() -> None:
    assert len(LINES) >= 4


@pytest.mark.parametrize("words", LINES)
def test_a_command_line_is_real(words: list[str]) -> None:
    command, name, rest = resolve(words)
    assert not getattr(command, "commands", {}) or not rest or rest[0].startswith("-"), (
        f"no command {rest[0]!r} in {name}"
    )
    used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert used <= flags_of(command), f"{name} has no {used - flags_of(command)}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_option_in_the_text_exists(document: str) -> None:
    """Options quoted in running text, as in `--resume` or `ivbpr fit --log`."""
    every = {flag for _, command in leaves(TREE) for flag in flags_of(command)} | flags_of(TREE)
    text = (ROOT / document).read_text()
    for quoted in re.findall(r"`([^`\n]*)`", text):
        if quoted.startswith(("--", "ivbpr ")):
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", quoted)) <= every, quoted
        if quoted.startswith("ivbpr "):
            command, _, rest = resolve(quoted.split())
            group = getattr(command, "commands", {})
            assert not group or not rest or rest[0].startswith("-"), f"{document}: no command in '{quoted}'"


def test_the_guide_to_the_commands_is_what_the_commands_are() -> None:
    """`python -m ivbpr_cli.reference` writes it anew."""
    assert (ROOT / "ivbpr_numba/guides/commands.md").read_text() == reference(TREE)


def test_the_guide_to_the_commands_names_every_option_and_default() -> None:
    """Against the command tree and the specifications themselves, not the generator."""
    text = (ROOT / "ivbpr_numba/guides/commands.md").read_text()
    for name, command in leaves(TREE):
        chapter = text[text.index(f"\n## {name}\n") :]
        chapter = chapter[: chapter.index("\n## ", 5)]
        assert " ".join(command.help.split("\n\n")[0].split()) in chapter
        for parameter in command.params:
            if parameter.hidden or parameter.name == "help" or parameter.rich_help_panel == PANEL:
                continue
            (line,) = [x for x in chapter.splitlines() if x.startswith("- ") and names_of(parameter)(x)]
            assert " ".join(parameter.help.split()) in line
            assert ("Required." in line) == bool(parameter.required), line
            if isinstance(parameter.default, int | float | str) and not isinstance(parameter.default, bool):
                shown = (
                    f"{parameter.default:g}" if isinstance(parameter.default, float) else parameter.default
                )
                assert f"Default: {shown}." in line
            if parameter.envvar:
                assert f"`{parameter.envvar[0]}`" in line
    presets = text[text.index("## Presets") :]
    for preset in PRESETS:
        table = presets[presets.index(f"\n### {preset}\n") :].split("\n\n")[1].splitlines()
        models = [cell.strip() for cell in table[0].strip("|").split("|")][1:]
        cells = {
            cell[1].strip(" `"): [c.strip() for c in cell[2:-1]] for cell in (r.split("|") for r in table[2:])
        }
        for n, model in enumerate(models):
            values = SPECIFICATIONS[model].presets[preset]
            for option, value in values.items():
                if option != "seed" and isinstance(value, int | float) and not isinstance(value, bool):
                    assert float(cells[f"--{option.replace('_', '-')}"][n]) == value, (preset, model, option)


def names_of(parameter: Any) -> Any:
    """Whether a line of a list is about this parameter."""
    if parameter.param_type_name == "argument":
        word = (parameter.metavar or parameter.name).strip("[]{}…").upper()
        return lambda line: re.match(rf"- `\[?{re.escape(word)}…?\]?`:", line)
    return lambda line: f"`{parameter.opts[0]}`" in line.split(":")[0]


def test_the_readme_is_short_and_says_what_auc_is() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120  # about 100 and the citation
    assert text.index("AUC in one sentence") > 0


@pytest.mark.parametrize("document", ["README.md", *GUIDES])
def test_nothing_is_promised(document: str) -> None:
    text = " ".join((ROOT / document).read_text().lower().split())
    assert "not yet" not in text and "not built yet" not in text


@pytest.mark.parametrize("document", LINKED)
def test_links_lead_somewhere(document: str) -> None:
    """Relative links: the file is there, and so is the heading."""
    page = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", fences_removed(page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), f"{document}: {target}"
        assert linked.is_relative_to(ROOT), f"{document}: {target} leaves the project"
        if anchor:
            assert anchor in set(anchors(linked.read_text())), f"{document}: {target}"


def fences_removed(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> Iterator[str]:
    """Names of the headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", fences_removed(text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_guide_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [guide for guide in GUIDES if f"({guide})" not in text] == []


@pytest.mark.parametrize("name", [name for name, _ in leaves(TREE)])
def test_every_command_and_option_has_help(name: str) -> None:
    command = dict(leaves(TREE))[name]
    assert command.help and command.help.strip().endswith(".")
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


def test_the_map_of_rooms_names_rooms_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = {
        room
        for room in re.findall(r"`([a-z_][a-z_0-9]*(?:/[\w/.]*)?)`", text)
        if "/" in room or room.endswith(".py")
    }
    assert len(named) > 30
    homes = (ROOT, ROOT / "ivbpr_numba", ROOT / "cli" / "ivbpr_cli")
    for room in named:
        assert any((base / room).exists() for base in homes), room
    rooms = {path.parent.name for path in (ROOT / "ivbpr_numba").glob("*/__init__.py")} - {"kernels"}
    assert {f"{room}/" for room in rooms} - named == {"training/"}, "a room that the map does not name"
