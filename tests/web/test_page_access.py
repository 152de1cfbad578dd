"""What a page must be for people who see, hear or move otherwise: axe-core on every view, light and dark."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import BROWSER, DESK, PHONE, Visit
from drawn_shop import DrawnShop
from web_shop import Client

pytestmark = BROWSER

SMALLEST = 24  # CSS pixels of what can be pressed (WCAG 2.2, 2.5.8)
CONTROLS = {
    "button",
    "link",
    "searchbox",
    "textbox",
    "combobox",
    "slider",
    "option",
    "dialog",
    "DisclosureTriangle",
}
TARGETS = """
const small = [];
for (const one of document.querySelectorAll("button, a[href], input, select, summary, [role=button]")) {
  if (!one.checkVisibility({visibilityProperty: true, opacityProperty: true}) || one.matches(".skip, .unseen")) continue;
  const box = one.getBoundingClientRect();
  if (Math.min(box.width, box.height) < arguments[0] - 0.5) small.push([one.outerHTML.slice(0, 120), box.width, box.height]);
}
return small;
"""


def check(visit: Visit, view: str) -> None:
    found = visit.axe()
    assert not found, (view, found)
    small = visit.run(TARGETS, SMALLEST)
    assert not small, (view, small)
    tree = visit.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [node for node in tree if not node["ignored"] and node["role"]["value"] in CONTROLS]
    nameless = [
        node["role"]["value"] for node in controls if not node.get("name", {}).get("value", "").strip()
    ]
    assert controls
    assert not nameless, (view, nameless)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_view_is_accessible(
    visiting: Callable[..., Visit],
    drawn_client: Client,
    drawn: DrawnShop,
    size: tuple[int, int],
    dark: bool,
) -> None:
    visit = visiting(drawn_client, size=size, dark=dark)
    visit.expected = ["404"]
    visit.open()
    visit.wait(lambda: visit.all(".pick button") and visit.all(".people button"), "both ways in")
    visit.run("document.querySelector('.pick button').click()")
    check(visit, "welcome")

    user = drawn.data.users[3]
    item = drawn_client.document(f"/api/recommend?user={user}")["items"][0]["item"]
    visit.open(
        f"?user={user}&boost=material%3Dleather:0.5&boost=colour%3Dpink:-1&toward={item}:1&where=colour:pink"
    )
    visit.wait(lambda: visit.all("#trends .curve"), "trends")
    visit.step(lambda: visit.all("#grid .step")[1].click())
    check(visit, "list")

    visit.one("#grid [data-key^='open']").click()
    visit.wait(lambda: visit.all("dialog[open] tfoot") and visit.all("dialog .few button"), "the terms")
    check(visit, "why")
    visit.keys("\ue00c")

    if size == PHONE:
        visit.press("Steer")
        visit.wait(lambda: visit.all("#rail")[0].is_displayed(), "the sheet")
    visit.one("#find-attribute").send_keys("e")
    check(visit, "attributes")

    visit.open("?user=nobody-of-that-name")
    check(visit, "error")


def test_colours_follow_what_the_system_prefers(visiting: Callable[..., Visit], drawn_client: Client) -> None:
    def brightness(dark: bool) -> float:
        visit = visiting(drawn_client, dark=dark).open()
        colour = visit.run("return getComputedStyle(document.body).backgroundColor")
        return sum(float(one) for one in colour[colour.index("(") + 1 : -1].split(",")[:3])

    assert brightness(False) > 600 and brightness(True) < 150


def test_landmarks_headings_and_what_is_said(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    roles = [one.aria_role for one in visit.all("header, main, #rail")]
    assert roles == ["banner", "complementary", "main"]
    headings = [one for one in visit.all("h1, h2, h3") if one.is_displayed()]
    assert [one.tag_name for one in headings].count("h1") == 1
    assert visit.run("return document.querySelector('#live').getAttribute('aria-live')") == "polite"
    visit.wait(lambda: "24 products" in visit.text("#live"), "what is shown is said")
    assert visit.run("return document.documentElement.lang") == "en"
