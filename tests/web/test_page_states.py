"""The page in a browser when something is missing, wrong, hostile or narrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browsing import BROWSER, PHONE, Visit
from drawn_shop import DrawnShop
from web_shop import ODD, SCRIPT, Client, odd_model, serving

pytestmark = BROWSER

TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"


def overflow(visit: Visit) -> int:
    return visit.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_an_unknown_shopper_in_a_link_is_named_with_a_way_out(visit: Visit) -> None:
    visit.expected = ["404"]
    visit.open("?user=nobody-of-that-name")
    told = visit.one("#problem").text
    refusal = visit.client.ask("/api/recommend?user=nobody-of-that-name").json
    assert refusal["error"] in told and refusal["hint"] in told
    assert not visit.products()
    visit.step(lambda: visit.press("Choose a shopper"))
    assert visit.one("#welcome-title").is_displayed() and not visit.query
    assert not [one for one in visit.all("#problem") if one.is_displayed()]


def test_an_attribute_that_is_none_in_a_link_is_named(visit: Visit, drawn: DrawnShop) -> None:
    visit.expected = ["400", "404"]
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleahter:0.5")
    assert "leather" in visit.one("#problem").text  # did you mean


def test_a_server_that_is_gone_leaves_the_list_and_can_be_tried_again(visit: Visit, drawn: DrawnShop) -> None:
    visit.expected = ["ERR_INTERNET_DISCONNECTED"]
    visit.open(f"?user={drawn.data.users[3]}")
    shown = visit.agrees()
    gone = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    visit.driver.execute_cdp_cmd("Network.enable", {})
    visit.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **gone})
    try:
        visit.all("#grid .step")[1].click()
        assert "The server does not answer" in visit.one("#problem").text
        assert visit.products() == shown
    finally:
        visit.driver.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **gone})
    visit.press("Try again")
    visit.wait(lambda: not [one for one in visit.all("#problem") if one.is_displayed()], "no problem")
    assert "boost=" in visit.query
    visit.agrees()


def test_a_server_that_was_stopped_is_told(visiting: Callable[..., Visit], drawn: DrawnShop) -> None:
    with serving(drawn.timeless) as client:
        visit = visiting(client).open(f"?user={drawn.data.users[3]}")
        visit.agrees()
    visit.expected = ["ERR_CONNECTION_REFUSED"]
    visit.all("#grid .step")[1].click()
    assert "The server does not answer" in visit.one("#problem").text


def test_while_an_answer_is_awaited_the_list_is_busy(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    busy = visit.run(
        "document.querySelectorAll('#grid .step')[1].click();"
        "return document.querySelector('#list').getAttribute('aria-busy')"
    )
    assert busy == "true"
    visit.agrees()
    assert visit.run("return document.querySelector('#list').getAttribute('aria-busy')") != "true"


def test_of_several_quick_steps_the_last_list_stays(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    visit.run("for (const n of [1, 3, 5, 1]) document.querySelectorAll('#grid .step')[n].click();")
    visit.settle()
    assert visit.query.count("boost=") >= 2
    visit.agrees()


def test_titles_ids_and_attributes_are_text_whatever_they_hold(visiting: Callable[..., Visit]) -> None:
    with serving(odd_model()) as client:
        visit = visiting(client)
        visit.open()
        visit.wait(lambda: len(visit.all(".pick button")) == len(ODD), "all products")
        assert visit.run("return document.querySelectorAll('main script, main [onerror]').length") == 0
        (wanted,) = [one for one in visit.all(".people button") if ODD[0] in one.text]
        visit.step(wanted.click)
        assert ODD[0] in visit.run("return document.querySelector('#list-title').title")
        visit.agrees()
        assert SCRIPT in visit.text("#attributes")
        visit.step(lambda: visit.press(f"More {SCRIPT}"))
        visit.agrees()
        assert SCRIPT in visit.text("#wishes")
        assert (
            visit.run("return document.querySelectorAll('main script, main [onerror], #rail script').length")
            == 0
        )


@pytest.mark.parametrize("size", [PHONE, (834, 1112)], ids=["phone", "tablet"])
def test_a_narrow_screen_has_the_attributes_in_a_sheet(
    visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop, size: tuple[int, int]
) -> None:
    visit = visiting(drawn_client, size=size)
    visit.open()
    assert overflow(visit) == 0
    visit.open(f"?user={drawn.data.users[3]}")
    visit.agrees()
    assert overflow(visit) == 0
    columns = visit.run(
        "return new Set([...document.querySelectorAll('#grid > li')].map((one) => Math.round(one.getBoundingClientRect().left))).size"
    )
    assert columns >= 2
    assert not visit.one("#open-rail").get_attribute("hidden")
    assert (
        visit.run("return document.querySelector('#rail').checkVisibility({visibilityProperty: true})")
        is False
    )
    visit.press("Steer")
    visit.wait(lambda: visit.all("#rail")[0].is_displayed(), "the sheet")
    assert visit.focused() == "Close"
    visit.one("#find-attribute").send_keys("velvet")
    visit.step(lambda: visit.press("More velvet", visit.one("#rail")))
    visit.agrees()
    visit.keys(ESCAPE)
    visit.wait(lambda: not visit.all("#rail")[0].is_displayed(), "no sheet")
    assert visit.focused() == "Steer"
    assert overflow(visit) == 0
    visit.one("#grid [data-key^='open']").click()
    visit.wait(lambda: visit.all("dialog[open] tfoot"), "the terms")
    inside = visit.run(
        "const box = document.querySelector('dialog'); return [box.scrollWidth - box.clientWidth, box.getBoundingClientRect().right - innerWidth]"
    )
    assert inside[0] <= 0 and inside[1] <= 0


def tab_to(visit: Visit, fits: Callable[[str], bool], most: int = 80) -> str:
    """Press Tab until the name of what is focused fits; everything on the way must show its focus."""
    for _ in range(most):
        visit.keys(TAB)
        name = visit.focused()
        outline: dict[str, Any] = visit.run(
            "const {outlineStyle, outlineWidth, outlineColor} = getComputedStyle(document.activeElement);"
            "return {outlineStyle, outlineWidth, outlineColor}"
        )
        assert outline["outlineStyle"] != "none" and float(outline["outlineWidth"][:-2]) >= 2, (name, outline)
        if fits(name):
            return name
    raise AssertionError(f"not reached in {most} steps; last: {name}")


def test_everything_can_be_done_by_keyboard(visit: Visit, drawn: DrawnShop) -> None:
    visit.open()
    assert "Skip" in tab_to(visit, lambda name: "Skip" in name, 1)
    tab_to(visit, lambda name: name.startswith("Part of an id"), 10)
    wanted = drawn.data.users[11]
    visit.keys(wanted)
    visit.wait(lambda: len(visit.all(".people button")) == 1, "that shopper alone")
    tab_to(visit, lambda name: wanted in name, 3)
    visit.step(lambda: visit.keys(ENTER))
    visit.agrees()
    # Into the products over the skip link, and more of the first reason; the focus stays there.
    visit.run("document.activeElement.blur(); getSelection().removeAllRanges(); window.scrollTo(0, 0)")
    name = tab_to(visit, lambda name: name.startswith("More ") and "like" not in name, 120)
    visit.step(lambda: visit.keys(ENTER))
    visit.agrees()
    assert visit.focused() == name
    # Why, and out again.
    why = tab_to(visit, lambda name: "why it is here" in name)
    visit.keys(ENTER)
    visit.wait(lambda: visit.all("dialog[open] tfoot"), "the terms")
    assert visit.run("return document.querySelector('dialog').contains(document.activeElement)")
    visit.keys(ESCAPE)
    visit.wait(lambda: not visit.all("dialog[open]"), "a closed dialog")
    assert visit.focused() == why
    # Backwards to Undo.
    visit.run("document.querySelector('#undo').focus()")
    visit.step(lambda: visit.keys(ENTER))
    assert "boost=" not in visit.query
    visit.agrees()


def test_movement_only_for_those_who_want_it(
    visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop
) -> None:
    count = """
        window.moved = 0;
        const animate = Element.prototype.animate;
        Element.prototype.animate = function (...all) { window.moved += 1; return animate.apply(this, all); };
    """
    for calm in (True, False):
        visit = visiting(drawn_client, calm=calm)
        visit.open(f"?user={drawn.data.users[3]}")
        visit.run(count)
        visit.step(lambda visit=visit: visit.all("#grid .step")[1].click())
        visit.agrees()
        assert (visit.run("return window.moved") > 0) is not calm
