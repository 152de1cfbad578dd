"""What can be seen: edges of controls, the ring of the focus, narrow and magnified pages, colours of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browsing import BROWSER, DESK, Visit
from drawn_shop import DrawnShop
from web_shop import Client

pytestmark = BROWSER

TAB = "\ue004"
LEAST = 3.0  # contrast of what is no text (WCAG 1.4.11)

# The colour of an edge or a ring against what lies behind and within its element; rgb triples.
EDGES = """
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const seen = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const [r, g, b, a = 1] = numbers(getComputedStyle(at).backgroundColor);
    if (a > 0.99) return [r, g, b];
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll("button:not(.plain), select, input[type=search]")]
  .filter((one) => one.checkVisibility({visibilityProperty: true}) && one.ariaDisabled !== "true" && !one.disabled)
  .map((one) => {
    const style = getComputedStyle(one);
    const [r, g, b, a = 1] = numbers(style.borderTopColor);
    return {name: one.outerHTML.slice(0, 90), edge: style.borderTopWidth === "0px" || a < 0.5 ? null : [r, g, b],
            within: seen(one), behind: seen(one.parentElement)};
  })
  .filter(({edge}) => edge !== null);
"""
RING = """
const {outlineColor, outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
return [outlineColor, outlineStyle, parseFloat(outlineWidth), getComputedStyle(document.body).backgroundColor];
"""
# Whether the focused element, or a part of it, lies on top where it stands.
UNCOVERED = """
const one = document.activeElement.closest(".drop") ?? document.activeElement;
const box = one.getBoundingClientRect();
const spots = [0.1, 0.5, 0.9].flatMap((x) => [0.1, 0.5, 0.9].map((y) => [box.left + x * box.width, box.top + y * box.height]));
return spots.some(([x, y]) => { const top = document.elementFromPoint(x, y); return top && (one.contains(top) || top.contains(one)); });
"""


def luminance(colour: list[float]) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    """WCAG's ratio of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def rgb(text: str) -> list[float]:
    return [float(one) for one in text[text.index("(") + 1 : -1].split(",")[:3]]


def test_the_ratio_is_that_of_wcag() -> None:
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_edges_and_rings_stand_out(
    visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop, dark: bool
) -> None:
    visit = visiting(drawn_client, dark=dark)
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather:0.5&where=colour:pink")
    found: list[dict[str, Any]] = visit.run(EDGES)
    assert len(found) > 20
    faint = [
        one["name"]
        for one in found
        # An edge that has the colour of what it encloses is told by that colour.
        if max(contrast(one["edge"], one["behind"]), contrast(one["within"], one["behind"])) < LEAST
    ]
    assert not faint, faint
    visit.run("document.activeElement.blur()")
    visit.keys(TAB, TAB)
    ring, style, width, ground = visit.run(RING)
    assert style == "solid" and width >= 2
    assert contrast(rgb(ring), rgb(ground)) >= LEAST


@pytest.mark.parametrize("size", [DESK, (834, 1112), (390, 844)], ids=["desk", "tablet", "phone"])
def test_what_is_focused_is_not_covered(
    visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop, size: tuple[int, int]
) -> None:
    visit = visiting(drawn_client, size=size)
    visit.open()
    visit.wait(lambda: visit.all(".pick button"), "products")
    for n in range(36):
        visit.keys(TAB)
        assert visit.run(UNCOVERED), ("welcome", n, visit.focused())
    visit.open(f"?user={drawn.data.users[3]}")
    for n in range(60):
        visit.keys(TAB)
        assert visit.run(UNCOVERED), ("list", n, visit.focused())


@pytest.mark.parametrize("width", [320, 390, 834, 1440])
def test_no_width_scrolls_sideways(
    visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop, width: int
) -> None:
    """320 pixels are also what a screen of 1280 shows when it is magnified four times."""
    visit = visiting(drawn_client, size=(width, 700))
    for query in ("", f"?user={drawn.data.users[3]}&boost=material%3Dleather:0.5"):
        visit.open(query)
        visit.wait(lambda: visit.all(".pick button, .curve"), "all of it")
        wide = visit.run(
            "const most = document.documentElement.clientWidth;"
            "return [document.documentElement.scrollWidth - most, ...[...document.querySelectorAll('button, input, h1, h2, p')]"
            ".filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.closest('.strip, .unseen') && one.getBoundingClientRect().right > most + 1)"
            ".map((one) => one.outerHTML.slice(0, 90))]"
        )
        assert wide == [0], (query, wide)


def test_letters_set_wider_lose_nothing(
    visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop
) -> None:
    """The spacing that WCAG 1.4.12 says a page must bear."""
    visit = visiting(drawn_client, size=(390, 844))
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather:0.5")
    visit.run(
        "const sheet = new CSSStyleSheet();"
        "sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }');"
        "document.adoptedStyleSheets = [sheet];"
    )
    assert visit.run("return getComputedStyle(document.querySelector('#undo')).letterSpacing") != "normal"
    cut = visit.run(
        "return [...document.querySelectorAll('button')].filter((one) => one.checkVisibility({visibilityProperty: true})"
        " && !one.matches('.plain') && one.scrollWidth > one.clientWidth + 1).map((one) => one.outerHTML.slice(0, 90))"
    )
    assert not cut, cut
    wide = visit.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


def test_in_colours_of_ones_own_what_is_picked_has_a_border(
    visiting: Callable[..., Visit], drawn_client: Client
) -> None:
    visit = visiting(drawn_client)
    visit.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "forced-colors", "value": "active"}]}
    )
    visit.open()
    visit.wait(lambda: len(visit.all(".pick button")) > 1, "products")
    visit.all(".pick button")[0].click()
    borders = visit.run(
        "return [...document.querySelectorAll('.pick .frame')].slice(0, 2).map((one) => parseFloat(getComputedStyle(one).borderTopWidth))"
    )
    assert borders[0] >= 2 and borders[1] == 0
