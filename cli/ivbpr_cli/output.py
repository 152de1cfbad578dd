"""What a command shows: data on stdout in the format asked for, everything else on stderr."""

from __future__ import annotations

import csv
import io
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from ivbpr_cli.tables import Table, facts, lay_out, percent, screen_width
from ivbpr_numba.documents.document import Document, Row
from ivbpr_numba.events import Observer

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = [
    "Answer",
    "Format",
    "Row",
    "Screen",
    "Table",
    "drop_stdout",
    "facts",
    "percent",
    "say_error",
    "say_warning",
]


class Format(StrEnum):
    """The formats of ``--format``; commands that write the last ones say so, see `settings.with_screen`."""

    table = "table"
    json = "json"
    csv = "csv"
    jsonl = "jsonl"
    latex = "latex"
    markdown = "markdown"


@dataclass(frozen=True)
class Answer(Document):
    """A document and what people see of it: able to appear in every format.

    Parameters
    ----------
    command, content, rows, columns
        See `Document`.
    tables : sequence of Table
        What ``table`` shows; the rows where empty.
    notes : sequence of str
        Sentences below the tables, not with ``--quiet``.
    markdown : str
        A text to read, instead of tables.
    texts : mapping of Format to callable
        The whole answer as text in a format of its own, for commands that have such.
    """

    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    markdown: str = ""
    texts: Mapping[Format, Callable[[], str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        document: Document,
        tables: Sequence[Table] = (),
        notes: Sequence[str] = (),
        markdown: str = "",
        texts: Mapping[Format, Callable[[], str]] | None = None,
    ) -> Answer:
        """A document of the library, with what people see of it."""
        return cls(**vars(document), tables=tables, notes=notes, markdown=markdown, texts=texts or {})


@dataclass
class Screen:
    """Where a command writes; made from ``--format`` and ``--quiet``.

    Parameters
    ----------
    format : Format
        Format of the data on stdout.
    quiet : bool
        No messages, no progress, and no sentences below tables; warnings and errors stay.
    compiling_takes : float
        About how many seconds the command waits where no kernel is compiled yet.
    """

    format: Format = Format.table
    quiet: bool = False
    compiling_takes: float = 3.0
    _err: Console | None = field(default=None, repr=False)
    _said_compiling: bool = field(default=False, repr=False)

    @property
    def err(self) -> Console:
        """The console of stderr; colours only on a terminal and without ``NO_COLOR``."""
        if self._err is None:
            self._err = _console(sys.stderr)
        return self._err

    @property
    def reader(self) -> bool:
        """Whether somebody reads stdout at a terminal."""
        return sys.stdout.isatty()

    def show(self, answer: Answer) -> None:
        """Write the answer to stdout in the chosen format; a reader that has left is no error."""
        try:
            if self.format in answer.texts:
                sys.stdout.write(answer.texts[self.format]())
            elif self.format == Format.table:
                _write_table(answer, self.quiet)
            else:
                _WRITERS[self.format](answer)
            sys.stdout.flush()
        except BrokenPipeError:
            drop_stdout()

    def note(self, text: str) -> None:
        """A message on stderr; silent with ``--quiet``."""
        if not self.quiet:
            self.err.print(text)

    def warn(self, text: str) -> None:
        """A warning on stderr, also with ``--quiet``."""
        self.err.print("Warning:", style="yellow", end=" ")
        self.err.print(text)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Say once, on stderr, that a kernel is being compiled which no run on this machine has compiled."""
        from ivbpr_numba.kernels.compilation import watching

        with watching(self._compiling):
            yield

    def _compiling(self, kernel: str) -> None:
        if not self._said_compiling:
            self._said_compiling = True
            self.note(
                f"Compiling once (about {self.compiling_takes:.0f} s); later runs start at once. "
                "'ivbpr warmup' compiles everything."
            )

    def progress(self, what: str) -> AbstractContextManager[Observer]:
        """An observer of the library's events, drawn on stderr; see :mod:`ivbpr_cli.progress`."""
        from ivbpr_cli.progress import observe

        return nullcontext(lambda event: None) if self.quiet else observe(self.err, what)


def say_warning(text: str) -> None:
    """Print a warning of the library on stderr, also with ``--quiet``."""
    try:
        console = _console(sys.stderr)
        console.print("Warning:", style="yellow", end=" ")
        console.print(text)
    except BrokenPipeError:
        pass


def say_error(text: str) -> None:
    """Print one paragraph about a failure on stderr."""
    try:
        console = _console(sys.stderr)
        console.print("Error:", style="bold red", end=" ")
        console.print(text)
    except BrokenPipeError:
        pass


def drop_stdout() -> None:
    """Send the rest of stdout nowhere, so that neither we nor the interpreter's exit complain."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _console(stream: Any) -> Console:
    from rich.console import Console

    class QuietPipe(Console):
        def on_broken_pipe(self) -> None:
            raise  # rich calls this while BrokenPipeError is handled; its own way exits with 1

    # Texts hold ids and paths: nothing in them is markup. Away from a terminal nothing is wrapped.
    width = None if stream.isatty() else 100_000
    return QuietPipe(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _write_json(answer: Answer) -> None:
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    sys.stdout.write(orjson.dumps(answer.as_dict(), default=str, option=options).decode() + "\n")


def _write_jsonl(answer: Answer) -> None:
    import orjson

    for line in answer.lines():
        text = orjson.dumps(line, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
        sys.stdout.write(text.decode() + "\n")


def _write_csv(answer: Answer) -> None:
    if not answer.header:  # no rows of no columns
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, answer.header, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(answer.rows)
    sys.stdout.write(text.getvalue())


def _write_table(answer: Answer, quiet: bool) -> None:
    if answer.markdown:
        _write_markdown(answer.markdown)
        return
    console, width = _console(sys.stdout), screen_width(sys.stdout)
    for table in answer.tables or [Table(answer.rows)]:
        _print_table(console, table, width, "csv" if table.rows is answer.rows else "json")
    for text in answer.notes if not quiet else ():
        # A command stays in one line, so that it can be copied.
        wrapped = width is not None and "ivbpr " not in text
        console.print(textwrap.fill(text, width, break_long_words=False) if wrapped and width else text)


def _write_markdown(text: str) -> None:
    """Set for reading at a terminal; as it is for a pipe or a file."""
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.markdown import CodeBlock, Markdown
    from rich.text import Text

    class Whole(CodeBlock):
        """Lines of code stay whole, so that a command can be copied."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            lines = [f"  {line}".rstrip() for line in str(self.text).splitlines()]
            yield Text("\n".join(lines), "markdown.code", no_wrap=True, overflow="ignore")

    class Guide(Markdown):
        elements: ClassVar = {**Markdown.elements, "fence": Whole, "code_block": Whole}

    _console(sys.stdout).print(Guide(text, hyperlinks=False), soft_wrap=False, crop=False)


def _print_table(console: Console, table: Table, width: int | None, complete: str) -> None:
    """A table, and what is missing where the screen is too narrow; `complete` is the format of all."""
    from rich.text import Text

    if table.title:
        console.print(Text(table.title, style="bold"))
    if not table.rows:
        console.print(Text("(nothing)"))
        return
    found = lay_out(table, width)
    header, rule = found.head
    console.print(Text(header, style="bold"))
    console.print(Text(rule))
    for line in found.body:
        console.print(Text(line))
    lost = [("left out", found.dropped), ("shortened", found.shortened)]
    said = "; ".join(f"{how}: {', '.join(names)}" for how, names in lost if names)
    if said:
        text = f"At {width} columns, {said}. A wider screen or --format {complete} shows all."
        console.print(Text(textwrap.fill(text, width or 80, break_long_words=False), style="dim"))
    console.print()


_WRITERS: dict[Format, Callable[[Answer], None]] = {
    Format.json: _write_json,
    Format.csv: _write_csv,
    Format.jsonl: _write_jsonl,
}
