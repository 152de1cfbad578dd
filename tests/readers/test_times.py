"""Times of all kinds: units by their size, dates that begin with day or month, forms that are named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clothes import writer

from ivbpr_numba.datasets.dataset import Dataset
from ivbpr_numba.datasets.prepare import prepare
from ivbpr_numba.errors import DataError, UsageError
from ivbpr_numba.readers.times import MISSING, day_and_month, parse_moment, parse_times, settle_times

put = pytest.fixture(writer)

START = 1_577_836_800  # 2020-01-01


def table(times: list[object], header: str = "user,item,time\n") -> str:
    return header + "".join(f"u{k % 4},i{k},{time}\n" for k, time in enumerate(times))


def all_times(data: Dataset) -> list[int]:
    return sorted(int(t) for part in (data.train, data.valid, data.test) for t in part.times)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)],
)
def test_the_size_of_a_number_tells_its_unit(put: Callable, unit: str, factor: int) -> None:
    """The last fraction of a second stays in its second: no number goes through a float."""
    seconds = [START + 1000 * k for k in range(40)]
    data = prepare(put(table([s * factor + factor - 1 for s in seconds])))
    assert all_times(data) == seconds
    about = data.source["inputs"][0]
    counts = {name: about[name] for name in ("milliseconds", "microseconds", "nanoseconds")}
    assert counts == {name: 40 * (name == unit) for name in counts}
    assert (f"40 times in {unit}" in data.source["report"][0]["why"]) == (factor > 1)
    late = settle_times(np.array([4_102_444_799 * factor, 4_102_444_800 * factor]))[1]
    assert late.tolist() == [True, False]
    mixed = parse_times([str(seconds[0] * factor + factor - 1), "soon"])  # read one by one
    assert settle_times(mixed)[0].tolist() == [seconds[0], MISSING]


@pytest.mark.parametrize(
    ("text", "by_day", "by_month"),
    [
        ("31/12/2019", "2019-12-31", None),
        ("12/31/2019", None, "2019-12-31"),
        ("03.04.2019", "2019-04-03", "2019-03-04"),
        ("3-4-2019 12:30", "2019-04-03T12:30", "2019-03-04T12:30"),
        ("05/05/2019", "2019-05-05", "2019-05-05"),
    ],
)
def test_day_and_month(text: str, by_day: str | None, by_month: str | None) -> None:
    wanted = tuple(
        MISSING if d is None else int(np.datetime64(d, "s").astype(int)) for d in (by_day, by_month)
    )
    assert day_and_month(text) == wanted


@pytest.mark.parametrize(
    "text", ["31/13/2019", "30/02/2019", "2019-12-31", "31/12-2019", "31/12/19", "", "1/2", "5"]
)
def test_what_is_no_such_date(text: str) -> None:
    assert day_and_month(text) is None


DAYS = [START + 86_400 * k for k in range(0, 360, 9)]


def written(form: str, days: list[int] = DAYS) -> list[object]:
    return [datetime.fromtimestamp(day, UTC).strftime(form) for day in days]


@pytest.mark.parametrize("header", ["user,item,time\n", ""])
@pytest.mark.parametrize(
    ("form", "said"),
    [("%d/%m/%Y", "day (19/01/2020)"), ("%m/%d/%Y", "month (01/19/2020)"), ("%d.%m.%Y", "day (19.01.2020)")],
)
def test_a_column_tells_the_order_of_its_dates(put: Callable, form: str, said: str, header: str) -> None:
    """Of 40 dates some can be read in one way only; the others follow them."""
    data = prepare(put(table(written(form), header)))
    assert all_times(data) == DAYS
    assert f"dates begin with the {said}" in data.source["report"][0]["why"]
    memory = Dataset.from_pairs([k % 4 for k in range(40)], range(40), written(form))
    assert all_times(memory) == DAYS and f"begin with the {said}" in memory.source["report"][0]["why"]


def test_the_order_is_told_by_any_line(put: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the last of many blocks."""
    from ivbpr_numba.readers import streams

    monkeypatch.setattr(streams, "BLOCK", 100)
    open_days = [START + 86_400 * k for k in range(1, 12)] * 30  # 2 to 12 January
    data = prepare(put(table([*written("%m/%d/%Y", open_days), "01/30/2020"])))
    assert all_times(data) == sorted([*open_days, START + 29 * 86_400])


def test_dates_that_tell_nothing_or_disagree(put: Callable) -> None:
    open_days = written("%d/%m/%Y", [START + 86_400 * k for k in range(1, 12)]) * 4
    for times, words in (
        (open_days, r"may begin with the day or with the month: '02/01/2020' \(line 2\)"),
        (
            [*open_days, "31/01/2020", "01/31/2020"],
            r"disagree: '31/01/2020' \(line 46\) begins with the day, '01/31/2020' \(line 47\) with the month",
        ),
    ):
        path = put(table(times))
        with pytest.raises(DataError, match=words) as caught:
            prepare(path)
        assert "time_format=" in caught.value.hint
        by_day = prepare(path, time_format="%d/%m/%Y")
        assert all_times(by_day)[0] == START + 86_400 and "%d/%m/%Y" in by_day.source["report"][0]["why"]
        assert all_times(prepare(path, time_format="%m/%d/%Y"))[-1] > START + 300 * 86_400
        with pytest.raises(DataError, match=words.split(r" \(")[0]):
            Dataset.from_pairs([k % 4 for k in range(len(times))], range(len(times)), times)
    assert prepare(path, time_format="%d/%m/%Y").source["inputs"][0]["bad_lines"] == [
        {"reason": "time that can't be read", "count": 1, "first_lines": [47]}
    ]
    same = prepare(put(table(["05/05/2019"] * 40)))
    assert set(all_times(same)) == {int(np.datetime64("2019-05-05", "s").astype(int))}


def test_a_form_of_times(put: Callable) -> None:
    path = put(table(written("%d.%m.%y %H h")))
    with pytest.raises(DataError, match="holds no times, but") as caught:
        prepare(path)
    assert "time_format=" in caught.value.hint
    assert all_times(prepare(path, time_format="%d.%m.%y %H h")) == DAYS
    with pytest.raises(DataError, match=r"no times of the form '%d\.%m\.%Y', but 01\.01\.20"):
        prepare(path, time_format="%d.%m.%Y")
    zone = put(table([f"{text} +0200" for text in written("%d %b %Y %H:%M")]))
    assert all_times(prepare(zone, time_format="%d %b %Y %H:%M %z")) == [day - 7200 for day in DAYS]


@pytest.mark.parametrize("form", ["%d/%m", "%H:%M", "nothing", "%Q", "", "%"])
def test_a_form_that_tells_no_date(put: Callable, form: str) -> None:
    path = put(table(written("%d/%m/%Y")))
    with pytest.raises(UsageError, match="tells no date"):
        prepare(path, time_format=form)
    with pytest.raises(UsageError, match="tells no date"):
        Dataset.from_pairs("aaaa", "wxyz", [1, 2, 3, 4], time_format=form)


def test_a_form_needs_a_column(put: Callable) -> None:
    with pytest.raises(UsageError, match="time="):
        prepare(put("user,item\na,b\n"), time_format="%d/%m/%Y")
    with pytest.raises(UsageError, match="own columns"):
        prepare(put(table(DAYS)), source="amazon-2014", time_format="%d/%m/%Y")


def test_the_form_on_the_command_line(put: Callable, tmp_path: Path, ivbpr: Callable[..., Any]) -> None:
    path, out = put(table(written("%d/%m/%y"))), tmp_path / "d.h5"
    assert ivbpr("prepare", path, "-o", out).code == 3
    assert ivbpr("prepare", path, "-o", out, "--time-format", "%d/%m/%y").code == 0
    assert all_times(Dataset.read(out)) == DAYS
    assert ivbpr("prepare", path, "-o", out, "--time-format", "%d/%m").code == 2


def test_a_moment_of_a_user() -> None:
    assert parse_moment("31/12/2019") == parse_moment("12/31/2019") == parse_moment("2019-12-31")
    assert parse_moment("1577836800000000000") == parse_moment("1577836800000000") == START
    with pytest.raises(UsageError, match="day or with its month") as caught:
        parse_moment("03/04/2019")
    assert caught.value.hint


def test_parquet_is_looked_at_like_text(put: Callable) -> None:
    """Dates of eight digits, and a column that holds no times."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = put(b"")
    users, items = [f"u{k % 4}" for k in range(40)], [f"i{k}" for k in range(40)]
    pq.write_table(
        pa.table({"user": users, "item": items, "time": [int(str(t)) for t in written("%Y%m%d")]}), path
    )
    assert all_times(prepare(path)) == DAYS
    pq.write_table(pa.table({"user": users, "item": items, "time": ["soon"] * 40}), path)
    with pytest.raises(DataError, match="holds no times, but soon"):
        prepare(path)
