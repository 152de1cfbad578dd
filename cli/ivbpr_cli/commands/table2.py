"""``ivbpr table2``: dataset and features → the paper's table on these data."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ivbpr_cli.commands.judged import plus_minus
from ivbpr_cli.commands.options import Scheduler, Workers, argument, client_of, names, option, out
from ivbpr_cli.output import Answer, Format, Screen, Table
from ivbpr_cli.paths import input_file, output_file
from ivbpr_numba.errors import UsageError

if TYPE_CHECKING:
    from ivbpr_numba.table2 import Table as Found

__all__ = ["table2"]

COLUMNS = "Columns and corpora"
MODELS = "The models"
PROTOCOL = "Protocol"
TEXTS = "To take away"

Text = str | None


def table2(
    screen: Screen,
    out: Annotated[Path, out("The table's file to write.")],
    dataset: Annotated[Path | None, argument("A file written by 'ivbpr prepare'; not with --again.")] = None,
    attributes: Annotated[Path | None, option("Features of the kind 'attributes'.", COLUMNS)] = None,
    dense: Annotated[Path | None, option("Features of the kind 'dense'.", COLUMNS)] = None,
    models: Annotated[
        Text, option("Only these columns, of the eight models and cosine.", COLUMNS, metavar="NAME,NAME")
    ] = None,
    by: Annotated[Text, option("A corpus for each value of an item column.", COLUMNS, metavar="COL")] = None,
    category: Annotated[
        Text,
        option(
            "A corpus for each of these: clothing, women, men, girls, boys, baby.",
            COLUMNS,
            metavar="NAME,NAME",
        ),
    ] = None,
    min_users: Annotated[int, option("Leave out corpora with fewer users.", COLUMNS)] = 100,
    min_interactions: Annotated[int, option("Items a user of a smaller corpus has there.", COLUMNS)] = 5,
    runs: Annotated[int, option("Runs, each with another split and start.", PROTOCOL)] = 3,
    seed: Annotated[int, option("Of the first run's fits.", PROTOCOL)] = 0,
    cold_below: Annotated[int, option("Items with fewer training pairs are cold.", PROTOCOL)] = 5,
    ties: Annotated[str, option("A tie counts nothing (strict) or one half (half).", PROTOCOL)] = "strict",
    tune: Annotated[
        int | None, option("Tune before each fit, by validation: so many trials.", MODELS, metavar="N")
    ] = None,
    options: Annotated[
        list[str] | None,
        option(
            "An option of 'ivbpr fit' for all models that have it; repeatable.",
            MODELS,
            flags=("--option",),
            metavar="NAME=VALUE",
        ),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's own numbers beside them.", rich_help_panel=TEXTS)
    ] = False,
    latex: Annotated[Path | None, option("Also write it as LaTeX.", TEXTS, metavar="FILE")] = None,
    markdown: Annotated[Path | None, option("Also write it as Markdown.", TEXTS, metavar="FILE")] = None,
    report: Annotated[
        Path | None,
        option("Also write a page about it, as 'ivbpr report' does.", TEXTS, metavar="FILE"),
    ] = None,
    processes: Annotated[int | None, option("Cells at a time; one a core where not given.")] = None,
    device: Annotated[
        Text, option("What fits and counts: cpu, cuda or auto; cpu where not given.", show_default=False)
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    again: Annotated[
        Path | None, option("Make this table once more, from what it says, and compare.", metavar="TABLE")
    ] = None,
    overwrite: Annotated[
        bool, option("Throw away finished cells, and replace another table.", flags=("--overwrite",))
    ] = False,
) -> None:
    """Every model on the same questions: All Items, Cold Start, stratified; errors, differences, LaTeX.

    Finished cells are kept: the same command goes on where it was ended. The column --by and the categories
    give corpora of their own, with the users who have enough items there, split anew.
    """
    given = locals()
    if again is not None:
        _refuse_beside_again(given)
    elif dataset is None:
        raise UsageError("There is no dataset.", "Name one, or a finished table with --again.")
    inputs = [(dataset, "dataset"), (attributes, "feature file"), (dense, "feature file"), (again, "table")]
    for path, what in inputs:
        if path is not None:
            input_file(path, what)
    from ivbpr_numba.table2.parts import parts_path

    output_file(out, *(path for path, _ in inputs), states=[parts_path(out)])
    texts = {"--latex": latex, "--markdown": markdown, "--report": report}
    named: dict[Path, str] = {}
    for flag, path in texts.items():
        if path is not None:
            output_file(path, out, *(one for one, _ in inputs), flag=flag)
            if path in named:
                raise UsageError(f"{named[path]} and {flag} name one file.", "Name two.")
            named[path] = flag

    from ivbpr_cli.live import live_table

    with client_of(scheduler, workers) as client, live_table(screen) as observer:
        if again is not None:
            from ivbpr_numba.table2.again import make_again

            table, comparison = make_again(again, out, processes, client, overwrite, [observer])
        else:
            from ivbpr_numba.table2 import table2 as make

            comparison = None
            table = make(
                dataset,  # type: ignore[arg-type]
                attributes=attributes,
                dense=dense,
                models=names(models) or None,
                by=by,
                category=names(category),
                runs=runs,
                tune=tune,
                options=_options(options or ()) | ({} if device is None else {"device": device}),
                min_users=min_users,
                min_interactions=min_interactions,
                cold_below=cold_below,
                ties=ties,
                seed=seed,
                processes=processes,
                client=client,
                out=out,
                overwrite=overwrite,
                observers=[observer],
            )
    _write(latex, lambda: table.latex(paper))
    _write(markdown, lambda: table.markdown(paper))
    if report is not None:
        from ivbpr_numba.report import write_table_report

        write_table_report(table, report, paper=paper)
    screen.show(_answer(table, out, paper, comparison))
    if comparison is not None:
        comparison.raise_for_difference()


table2.formats = (Format.latex, Format.markdown)  # type: ignore[attr-defined]


def _refuse_beside_again(given: dict[str, Any]) -> None:
    """Everything about the table is in the file that is made again."""
    allowed = (
        "screen",
        "out",
        "again",
        "processes",
        "scheduler",
        "workers",
        "overwrite",
        "paper",
        "latex",
        "markdown",
        "report",
    )
    usual = {"min_users": 100, "min_interactions": 5, "runs": 3, "seed": 0, "cold_below": 5, "ties": "strict"}
    for name, value in given.items():
        if name not in allowed and value != usual.get(name):
            flag = "a dataset" if name == "dataset" else "--option" if name == "options" else f"--{name}"
            raise UsageError(
                f"--again takes everything from the table, so {flag.replace('_', '-')} can't be given.",
                "Leave it out, or make another table.",
            )


def _options(given: Sequence[str]) -> dict[str, Any]:
    """``visual_factors=40`` as a name and a value; a value that is no TOML is text."""
    found: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UsageError(f"--option {text}: there is no '='.", "Write it as NAME=VALUE.")
        try:
            found[name.strip().replace("-", "_")] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip().replace("-", "_")] = value
    return found


def _write(path: Path | None, text: Callable[[], str]) -> None:
    if path is not None:
        from ivbpr_numba.store.atomic import write_bytes

        write_bytes(path, text().encode())


def _answer(table: Found, out: Path, paper: bool, comparison: Any) -> Answer:
    from ivbpr_numba.documents.document import Document
    from ivbpr_numba.table2.paper import CORPUS, paper_rows

    content = {"out": str(out), **table.report()}
    if paper:
        content["paper"] = {"corpus": CORPUS, "rows": paper_rows()}
    notes = [*table.words(), *table.notes()]
    if comparison is not None:
        content["again"] = comparison.as_dict()
        notes.append(comparison.in_words())
    shown = [*_tables(table), *(_of_paper(table) if paper else [])]
    texts = {Format.latex: lambda: table.latex(paper), Format.markdown: lambda: table.markdown(paper)}
    return Answer.of(Document("table2", content, table.flat_rows()), shown, notes, texts=texts)


def _tables(table: Found) -> Iterator[Table]:
    """A table a corpus, a row a model; then the differences of neighbours."""
    from ivbpr_numba.table2.columns import SETTINGS, title_of
    from ivbpr_numba.table2.text import chosen_words

    for subset in table.subsets:
        own = [row for row in table.rows if row["subset"] == subset["name"]]
        rows = []
        for column in table.columns:
            cells = {row["setting"]: row for row in own if row["model"] == column}
            first = cells["all"]
            row: dict[str, Any] = {"model": title_of(column)}
            row |= {s: plus_minus(cells[s]["auc"], cells[s]["stderr"]) for s in SETTINGS}
            row |= {"parameters": first["parameters"], "of features": first["feature_parameters"]}
            row |= {"seconds": f"{first['seconds']:.1f}"}
            if any(one["chosen"] for one in own):
                row["chosen"] = chosen_words(first["chosen"])
            rows.append(row)
        title = (
            f"{subset['name']}: AUC ± standard error; {subset['users']:,} users, {subset['items']:,} items"
        )
        spared = ("seconds", ("parameters", "of features"), "chosen")
        yield Table(rows, title, drop=spared, whole=SETTINGS, wrap=("chosen",))
    for subset in table.subsets:
        own = [row for row in table.differences if row["subset"] == subset["name"]]
        rows = [_difference(row) for row in own if row["neighbours"] and row["setting"] in ("all", "cold")]
        if rows:
            title = f"{subset['name']}: each column less the one before it, paired over users"
            yield Table(rows, title, drop=("± runs", "± users"), whole=("difference", "95 % interval"))


def _difference(row: dict[str, Any]) -> dict[str, Any]:
    from ivbpr_numba.table2.columns import title_of

    low, high, difference = row["low"], row["high"], row["difference"]
    return {
        "difference of": f"{title_of(row['b'])} − {title_of(row['a'])}",
        "setting": row["setting"],
        "difference": "–" if difference is None else f"{difference:+.4f}",
        "± users": row["stderr_users"],
        "± runs": row["stderr_runs"],
        "95 % interval": "–" if low is None else f"{low:+.4f} to {high:+.4f}",
        "p (Holm)": row["p_holm"],
    }


def _of_paper(table: Found) -> Iterator[Table]:
    from ivbpr_numba.table2.columns import title_of
    from ivbpr_numba.table2.paper import CORPUS, paper_rows

    known = paper_rows()
    rows = []
    for column in dict.fromkeys(row["model"] for row in known):
        own = [row for row in known if row["model"] == column]
        cells = {f"{row['subset'].split()[0]} {row['setting']}": f"{row['auc']:.4f}" for row in own}
        rows.append({"model": title_of(column), **cells})
    yield Table(rows, f"Beside it: {CORPUS}")
