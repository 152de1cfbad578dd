"""Tables on narrow screens: nothing is wider than the screen, numbers, headers and ids stay whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from small_models import DATA, ONE_HOT

from ivbpr_cli.tables import GAP, Table, as_cell, facts, lay_out, percent
from ivbpr_numba import Dataset, Features, create
from ivbpr_numba.documents.document import columns_of
from ivbpr_numba.features.layout import Group

Run = Callable[..., Any]

AUC = [
    {
        "scorer": scorer,
        "setting": setting,
        "auc": 0.74441,
        "users": 41_484,
        "pairs": 512_011_234,
        "tied_pairs": 1_524_321,
        "stderr": 0.0113,
        "ci95_low": 0.7222,
        "ci95_high": 0.7665,
    }
    for scorer in ("i-tvbpr", "inverse_popularity", "cosine")
    for setting in ("all", "stratified")
]
TITLE = "Slim-fit trousers in a very soft organic cotton blend with a drawstring waist, 36/32"
RECOMMENDED = [
    {
        "rank": n,
        "item": f"0{870_000_000 + n}",
        "title": TITLE,
        "score": -1.25 * n,
        "because": "product_type_name=Trousers +0.31, colour_group_name=Dark Blue +0.22, fit=slim +0.10",
    }
    for n in range(1, 11)
]
CHANGES = [
    {
        "feature": "Solid",
        "group": "graphical_appearance_name",
        **{f"epoch {n}": "+0.12" for n in range(10)},
        "spread": "0.05",
    }
]


def text_of(table: Table, width: int | None) -> list[str]:
    found = lay_out(table, width)
    return [*found.head, *found.body]


# --- what commands show -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "table",
    [
        Table(AUC),
        Table(RECOMMENDED),
        Table(CHANGES),
        facts({"out": "/home/somebody/shop/2024/models/i-tvbpr-ten-epochs-seed-7.h5", "valid_auc": 0.71}),
    ],
    ids=["auc", "recommend", "trends", "facts"],
)
def test_no_line_is_wider_than_the_screen(table: Table, width: int) -> None:
    assert max(map(cell_len, text_of(table, width))) <= width


def test_auc_at_80_columns_keeps_what_matters() -> None:
    found = lay_out(Table(AUC), 80)
    assert found.dropped == ["pairs", "tied pairs"] and found.shortened == []
    assert found.head[0].split()[-4:] == ["ci95", "low", "ci95", "high"]
    assert all(GAP + "0.7444" + GAP in line for line in found.body)


def test_titles_are_shortened_and_reasons_wrapped_where_ids_and_numbers_stay() -> None:
    found = lay_out(Table(RECOMMENDED[:1]), 80)
    assert (found.dropped, found.shortened) == ([], ["title"])
    text = " ".join(" ".join(found.body).split())
    assert "0870000001" in text and "-1.2500" in text and "Slim-fit trousers" in text and "…" in text
    for token in RECOMMENDED[0]["because"].replace(",", "").split():
        assert token in text.replace(",", "")


def test_without_a_width_each_row_is_one_line() -> None:
    found = lay_out(Table(RECOMMENDED))
    assert len(found.body) == len(RECOMMENDED) and TITLE in found.body[0]


def test_an_id_is_never_cut() -> None:
    long = "x" * 100
    found = lay_out(Table([{"item": long, "score": 1.0, "title": TITLE}]), 40)
    assert long in found.body[0] and "score" in found.dropped


def test_columns_of_a_tuple_go_together() -> None:
    row = {"file": "i-tvbpr.h5", **AUC[1]}
    found = lay_out(Table([row], drop=("tied_pairs", "pairs", ("ci95_low", "ci95_high"))), 66)
    assert found.dropped == ["pairs", "tied pairs", "ci95 low", "ci95 high"]


def test_words_too_long_for_their_column_break_at_a_sign() -> None:
    text = "perceived_colour_master_name=Orange +0.31, fit=slim +0.10"
    body = lay_out(Table([{"item": "1", "because": text}]), 30).body
    lines = [line[6:] for line in body]
    assert lines[0] == "perceived_colour_master_" and lines[1] == "name=Orange +0.31,"
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    body = lay_out(Table([{"item": "1", "because": "product_type_name=A_very_long_dress +1.00"}]), 30).body
    assert [line[6:] for line in body] == ["product_type_name=", "A_very_long_dress +1.00"]


def test_epochs_that_do_not_fit_go_to_more_tables() -> None:
    from ivbpr_cli.commands.trends import _by_epochs

    for width, count in ((None, 1), (200, 1), (80, 2)):
        tables = _by_epochs(CHANGES, "Changes", 10, width)
        assert len(tables) == count
        shown = [name for table in tables for name in table.rows[0] if name.startswith("epoch")]
        assert shown == [f"epoch {n}" for n in range(10)]
        assert all("spread" in table.rows[0] for table in tables)
    assert [table.title for table in tables] == ["Changes; epochs 0 to 4", "Epochs 5 to 9"]


@pytest.mark.parametrize("width", [60, 80])
def test_names_of_groups_stay_whole(
    ivbpr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    names = ["perceived_colour_master_name", "perceived_colour_value_name"]
    (tmp_path / "c.csv").write_text("\n".join([",".join(["id", *names]), "1,a,b", "2,c,d"]))
    monkeypatch.setenv("COLUMNS", str(width))
    line = ("features", "table", tmp_path / "c.csv", "--id", "id", "--columns", ",".join(names))
    shown = ivbpr(*line, "-o", tmp_path / "f.h5").out.split("Groups: ")[1]
    assert "lost" in shown and "…" not in shown
    whole = "".join(text.split()[0] for text in shown.splitlines()[3:] if text and "columns" not in text)
    assert all(name in whole for name in names)


# --- any table ----------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=30)
VALUES = {
    "item": TEXTS,
    "title": st.one_of(st.none(), TEXTS),
    "because": st.lists(TEXTS, max_size=9).map(" ".join),
    "users": st.integers(0, 10**9),
    "stderr": st.one_of(st.none(), st.floats(-999, 999)),
    "group": TEXTS,
    "pairs": st.integers(0, 10**12),
}


@given(
    st.lists(st.sampled_from(sorted(VALUES)), min_size=1, unique=True).flatmap(
        lambda names: st.lists(
            st.fixed_dictionaries({name: VALUES[name] for name in names}), min_size=1, max_size=4
        )
    ),
    st.integers(20, 160),
)
def test_any_table_fits_and_says_what_it_leaves_out(rows: list[dict[str, Any]], width: int) -> None:
    found = lay_out(Table(rows), width)
    heads = [name for name in columns_of(rows) if name not in found.dropped]
    assert all(name in found.head[0] for name in heads)
    assert sorted([*heads, *found.dropped]) == sorted(columns_of(rows))
    assert columns_of(rows)[0] in heads
    joined = " ".join(found.body)
    for row in rows:
        for name in heads:
            cell = as_cell(row[name])
            if name in ("item", "users", "stderr", "pairs"):
                assert cell in joined
            elif name not in found.shortened and name != "because":
                assert cell in joined
    if max(map(cell_len, [*found.head, *found.body])) > width:  # only what may not be cut is left
        assert not {"title", "because", "group", "users", "stderr", "pairs"} & set(heads[1:])
        assert "item" in heads or heads == [columns_of(rows)[0]]
    else:
        assert len(found.head[1]) <= width
    whole = lay_out(Table(rows))
    assert whole.dropped == [] and len(whole.body) == len(rows)


# --- cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-0.00001, "0.0000"),
        (-0.5, "-0.5000"),
        (-1234.4, "-1,234"),
        (float("nan"), "–"),
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (1_234_567, "1,234,567"),
        ([1, "b"], "1, b"),
        (list(range(13)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 3 more"),
        ([], "–"),
        ("two\nlines\x1b[31m", "two\N{REPLACEMENT CHARACTER}lines\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_cells(value: object, cell: str) -> None:
    assert as_cell(value) == cell


def test_shares_are_percentages_where_asked() -> None:
    assert [percent(0.9961), percent(-0.0001), percent(None), percent(1, 0)] == [
        "99.6 %",
        "0.0 %",
        "–",
        "100 %",
    ]
    rows = [{"group": "a", "share": 0.5}, {"group": "b", "share": 1.0}]
    found = lay_out(Table(rows, formats={"share": percent}, heads={"share": "of all"}))
    assert [found.head[0], *found.body] == ["group   of all", "a       50.0 %", "b      100.0 %"]


def test_facts_leave_out_what_is_nested_and_digests() -> None:
    table = facts({"out": "m.h5", "payload_sha256": "ab" * 32, "report": [1], "seconds": 1.0}, leave=["out"])
    assert table.rows == [{"what": "seconds", "value": 1.0}]


# --- which width --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [None, "80", "0", "wide"])
def test_width_of_a_pipe(ivbpr: Run, monkeypatch: pytest.MonkeyPatch, columns: str | None) -> None:
    """Away from a terminal COLUMNS alone makes tables narrow."""
    from ivbpr_numba import backends

    facts = {"python": "3", "cache": "/home/somebody/" + "very/" * 30 + "long"}
    monkeypatch.setattr(backends, "describe", lambda: facts)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    done = ivbpr("doctor")
    longest = max(map(len, done.out.splitlines()))
    assert longest <= 80 if columns == "80" else longest > 150
    assert json.loads(ivbpr("doctor", "--format", "json").out)["cache"] == facts["cache"]


# --- every command, for real --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind with long names and titles, and one model in time."""
    folder = tmp_path_factory.mktemp("shop")
    titles = np.array([f"{TITLE}, no. {n}".encode() for n in range(len(DATA.items))])
    data = Dataset(DATA.users, DATA.items, DATA.train, DATA.valid, DATA.test, {"title": titles}, DATA.source)
    names = [
        f"a_product_group_with_a_long_name={value} in a colour that takes many words"
        for value in ("left", "right", "red", "blue", "green")
    ]
    groups = [Group("a_product_group_with_a_long_name", 0, 5, False)]
    values = np.concatenate([ONE_HOT[:, :2], ONE_HOT[:, 2:]], axis=1).astype(np.float16)
    features = Features.from_arrays(DATA.items, values, names, groups, kind="attributes")
    features.write(folder / "features.h5")
    data.write(folder / "dataset.h5")
    options = {"epochs": 10, "iterations": 4, "eval_every": 2, "segment_every": 2}
    create("i-tvbpr", **options).fit(data, Features.read(folder / "features.h5"), out=folder / "model.h5")
    lines = [f"u{k % 4},i{k},{1_500_000_000 + k}" for k in range(40)]
    (folder / "purchases_of_our_shop_in_the_year_2024.csv").write_text(
        "\n".join(["user,item,time", *lines, "u0,,5"])
    )
    return folder


USER, ITEM = DATA.users[4], DATA.items[2]
LINES = [
    ("auc", "model.h5", "--baseline", "pop", "--baseline", "cosine"),
    ("inspect", "model.h5", "--users", "3", "--items", "3"),
    ("inspect", "model.h5", "--full"),
    ("recommend", "model.h5", USER, "--explain"),
    ("similar", "model.h5", ITEM),
    ("explain", "model.h5", USER, ITEM),
    ("trends", "model.h5", "--fits", "0"),
    ("features", "info", "features.h5"),
    ("features", "examples", "features.h5", "red in a colour that takes many words"),
    ("doctor",),
    ("verify", "dataset.h5"),
    ("prepare", "purchases_of_our_shop_in_the_year_2024.csv", "-o", "p.h5"),
    ("inspect", "dataset.h5"),
]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("line", LINES, ids=[" ".join(map(str, line[:2])) for line in LINES])
def test_what_commands_show_fits_the_screen(
    ivbpr: Run, shop: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], width: int
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setenv("COLUMNS", "100000")
    whole = ivbpr(*line, "-q")
    monkeypatch.setenv("COLUMNS", str(width))
    shown = ivbpr(*line, "-q")
    assert (whole.code, shown.code) == (0, 0), shown.err
    titles = {text for text in shown.out.splitlines() if text in whole.out.splitlines()}
    for text in shown.out.splitlines():
        assert cell_len(text) <= width or text in titles, text
    if "--full" in line:
        return  # digests are longer than their column, and go over two lines
    known = set(whole.out.replace(",", " ").split())
    for token in shown.out.replace(",", " ").split():
        if NUMBER.fullmatch(token) and token != str(width):  # the width is in the line about what is missing
            assert token in known, token


NUMBER = re.compile(r"[-+±]?\d[\d.]*%?")
