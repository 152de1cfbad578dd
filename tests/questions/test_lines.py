"""Lines that somebody types in a session: what they do, what they are completed to, what is refused."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from small_models import ATTRIBUTES, DATA, fitted, made

from ivbpr_numba import DataError, Features, Session, UsageError
from ivbpr_numba.questions.lines import COMMANDS, Line, completions, item_of, parse, stepped

SHOWN = ["i010", "i006", "i003"]
AWKWARD = ["size=38", "size=40", "hue=light blue", "hue=blue 2", "hue=green"]


@cache
def session(user: str | None = "u003") -> Session:
    return Session(fitted("i-vbpr"), user)


@cache
def awkward() -> Session:
    """Names with blanks and numbers in them."""
    named = Features.from_arrays(
        DATA.items, ATTRIBUTES.values(range(len(DATA.items))), AWKWARD, kind="attributes"
    )
    return Session(made("i-vbpr", iterations=2).fit(DATA, named), "u003")


def after(begun: Session, *texts: str) -> tuple[dict[str, Any], ...]:
    for text in texts:
        line = parse(text)
        assert line is not None
        begun = stepped(begun, line, SHOWN)
    return begun.steps


def boost(feature: str, amount: float) -> dict[str, Any]:
    return {"step": "boost", "feature": feature, "amount": amount}


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("more red", boost("hue=red", 1)),
        ("more  hue=red  1.5", boost("hue=red", 1.5)),
        ("more red=.25", boost("hue=red", 0.25)),
        ("more red -1", boost("hue=red", -1)),
        ("MORE red", boost("hue=red", 1)),
        ("less red", boost("hue=red", -1)),
        ("less red 2", boost("hue=red", -2)),
        ("like 2", {"step": "toward", "item": "i006", "amount": 1}),
        ("like i003 .5", {"step": "toward", "item": "i003", "amount": 0.5}),
        ("like item=i003", {"step": "toward", "item": "i003", "amount": 1}),
        ("toward 3 -1", {"step": "toward", "item": "i003", "amount": -1}),
    ],
)
def test_a_line_is_a_step(text: str, step: dict[str, Any]) -> None:
    assert after(session(), text) == (step,)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("more size=38", boost("size=38", 1)),
        ("more 38", boost("size=38", 1)),
        ("more 38 2", boost("size=38", 2)),
        ("more size=38=2", boost("size=38", 2)),
        ("more light blue", boost("hue=light blue", 1)),
        ("less light blue 1", boost("hue=light blue", -1)),
        ("more blue 2", boost("hue=blue 2", 1)),
        ("more blue 2 3", boost("hue=blue 2", 3)),
    ],
)
def test_a_whole_name_goes_before_an_amount(text: str, step: dict[str, Any]) -> None:
    assert after(awkward(), text) == (step,)


def test_steps_are_taken_back() -> None:
    assert after(session(), "more red", "like 1", "less blue", "undo", "undo 1") == (
        {"step": "toward", "item": "i010", "amount": 1},
    )
    assert after(session(), "more red", "reset") == ()
    assert after(session(), "by knn", "more red", "by model", "less red") == (
        boost("hue=red", 1),
        boost("hue=red", -1),
    )


def test_another_time() -> None:
    begun = Session(fitted("i-tvbpr", epochs=3, bins=12), "u003").boost("red")
    line = parse("at 2017-07-15")
    assert line is not None
    early = stepped(begun, line, SHOWN)
    assert early.moment == "2017-07-15" and early.steps == begun.steps
    last = parse("at")
    assert last is not None and stepped(early, last, SHOWN).moment is None


def test_a_new_shopper_likes() -> None:
    new = session(None)
    assert after(new, "like 2", "like i001", "unlike i006") == (
        {"step": "like", "item": "i006"},
        {"step": "like", "item": "i001"},
        {"step": "unlike", "item": "i006"},
    )
    assert (
        after(new, "like 2 1") == after(new, "toward 2") == ({"step": "toward", "item": "i006", "amount": 1},)
    )


@pytest.mark.parametrize("text", ["", "   ", "# more red", "\n"])
def test_empty_lines_and_comments_say_nothing(text: str) -> None:
    assert parse(text) is None


def test_other_words_for_the_same() -> None:
    assert parse("exit") == parse("quit\n") == Line("quit")
    assert parse("?") == parse("help") == Line("help")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mroe red", "Did you mean 'more'"),
        ("leather", "'help' lists"),
        ("more", "Write more NAME"),
        ("reset all", "takes nothing more"),
        ("more redd", "Did you mean"),
        ("more redd 2", "Unknown feature 'redd'"),
        ("less red -1", "is no less"),
        ("less red 0", "is no less"),
        ("like 4", "There is no number 4"),
        ("like 0", "It begins with 1"),
        ("undo", "no step to undo"),
        ("undo 1", "no step to undo"),
        ("unlike 1", "is a user of the model"),
        ("by nearest", "no such choice"),
        ("at 2020-01-01", "knows no time"),
        ("more red 1e9", "an amount is a number"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        after(session(), text)


def test_unknown_items_and_steps() -> None:
    with pytest.raises(DataError, match="i0100"):
        after(session(), "like i0100")
    with pytest.raises(UsageError, match="no whole number"):
        after(session(), "more red", "undo last")
    with pytest.raises(UsageError, match="There is no step 3"):
        after(session(), "more red", "more blue", "undo 3")


def test_an_id_that_is_a_number() -> None:
    numbers = type(DATA).from_pairs([1, 1, 1, 2, 2, 2], [7, 8, 2, 7, 8, 11])
    begun = Session(made("pop").fit(numbers), 1)
    assert item_of(begun, "2", ["7", "8"]) == "8"
    assert item_of(begun, "item=2", ["7", "8"]) == "2"
    assert item_of(begun, "11", ["7", "8"]) == "11"


def test_completion_gives_whole_lines() -> None:
    columns = {"colour": ["Black", "Blue"], "kind": ["coat"]}

    def of(text: str, begun: Session | None = None) -> list[str]:
        return completions(begun or session(), text, SHOWN, columns)

    assert [one.strip() for one in of("")] == list(COMMANDS)
    assert of("s") == ["show", "steps", "save "]
    assert of("more hue=") == ["more hue=red", "more hue=blue", "more hue=green"]
    assert of("less RE") == ["less red"]
    assert of("like i00") == ["like i006", "like i003"]
    assert of("where colour=b") == ["where colour=Black", "where colour=Blue"]
    assert of("by k") == ["by knn"]
    assert of("save x") == []
    assert of("unlike ", session(None).like("i001")) == ["unlike i001"]
    assert of("more light", awkward()) == ["more light blue"]
