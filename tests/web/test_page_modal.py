"""Where the focus is: the sheet of narrow screens, the dialog, and what a step draws anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import BROWSER, PHONE, Visit
from drawn_shop import DrawnShop
from web_shop import Client

pytestmark = BROWSER

TAB, SHIFT, ENTER, ESCAPE, DOWN = "\ue004", "\ue008", "\ue007", "\ue00c", "\ue015"

# Everything outside a part that keys could still reach.
REACHABLE = """
const part = document.querySelector(arguments[0]);
return [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter((one) => !part.contains(one) && !one.closest("[inert]") && !one.disabled && one.checkVisibility({visibilityProperty: true}))
    .map((one) => one.outerHTML.slice(0, 100));
"""
INSIDE = "return document.querySelector(arguments[0]).contains(document.activeElement)"


def seen(visit: Visit, css: str) -> bool:
    return any(one.is_displayed() for one in visit.all(css))


@pytest.fixture
def phone(visiting: Callable[..., Visit], drawn_client: Client, drawn: DrawnShop) -> Visit:
    """A phone that shows the list of a shopper."""
    return visiting(drawn_client, size=PHONE).open(f"?user={drawn.data.users[3]}")


def test_an_open_sheet_keeps_the_rest_out_of_reach(phone: Visit) -> None:
    opener = phone.one("#open-rail")
    assert opener.get_attribute("aria-expanded") == "false"
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    sheet = phone.one("#rail")
    assert (sheet.aria_role, sheet.accessible_name) == ("dialog", "Steer")
    assert sheet.get_attribute("aria-modal") == "true"
    assert phone.run(REACHABLE, "#rail") == []
    # Forwards and backwards the focus stays in the sheet or goes to the browser itself, never behind it.
    for keys in ((TAB,) * 30, (SHIFT, TAB)):
        phone.keys(*keys)
        assert phone.run(INSIDE, "#rail") or phone.run("return document.activeElement === document.body")
    phone.run("document.querySelector('#close-rail').focus()")
    phone.keys(ESCAPE)
    phone.wait(lambda: not seen(phone, "#rail"), "no sheet")
    assert phone.focused() == "Steer"
    assert not phone.all("[inert]") and phone.all("#rail")[0].get_attribute("role") == "complementary"


def test_a_press_beside_the_sheet_closes_it(phone: Visit) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    phone.press("Steer")
    phone.one("#rail")
    ActionChains(phone.driver).move_to_element_with_offset(phone.one("#shade"), 0, -380).click().perform()
    phone.wait(lambda: not seen(phone, "#rail"), "no sheet")
    assert not phone.all("[inert]")


def test_a_screen_that_becomes_wide_has_no_sheet(phone: Visit) -> None:
    phone.press("Steer")
    phone.one("#rail")
    screen = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    phone.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    phone.wait(lambda: not phone.all("[inert]"), "everything within reach")
    assert phone.one("#rail").aria_role == "complementary"


def test_a_failure_closes_the_sheet_and_is_within_reach(phone: Visit) -> None:
    phone.expected = ["404"]
    phone.press("Steer")
    phone.one("#find-attribute").send_keys("velvet")
    phone.run("const old = fetch; window.fetch = (address, ...more) => old('/api/nothing', ...more)")
    phone.press("More velvet", phone.one("#rail"))
    assert phone.one("#problem").aria_role == "alert"
    phone.wait(lambda: not seen(phone, "#rail"), "no sheet")
    assert phone.named("button", "Choose a shopper").is_displayed() and not phone.all("[inert]")


def test_wishes_that_are_taken_back_leave_the_focus_in_the_sheet(phone: Visit, drawn: DrawnShop) -> None:
    phone.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather:0.5&boost=colour%3Dpink:-1")
    phone.press("Steer")
    phone.run("document.querySelector('#wishes .take').focus()")
    phone.step(lambda: phone.keys(ENTER))
    phone.wait(lambda: phone.focused() == "Take back pink", "the focus on what is left")
    phone.step(lambda: phone.keys(ENTER))
    phone.wait(lambda: len(phone.all("#wishes input")) == 0, "no wish")
    assert phone.run(INSIDE, "#rail")


def test_the_dialog_takes_the_focus_and_gives_it_back(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    opener = visit.all("#grid [data-key^='open']")[2]
    key = opener.get_attribute("data-key")
    opener.send_keys(ENTER)
    visit.wait(lambda: visit.all("dialog[open] .few button"), "products like it")
    assert visit.focused() == "Close"
    first = visit.text("#dialog-title")
    assert visit.one("dialog").accessible_name == first
    visit.keys(*(TAB,) * 20)
    assert visit.run(INSIDE, "dialog") or visit.run("return document.activeElement === document.body")
    # From one product to one like it: the dialog says another name, and the focus is still in it.
    visit.all("dialog .few button")[0].send_keys(ENTER)
    visit.wait(lambda: visit.text("#dialog-title") != first, "another product")
    assert visit.focused() == "Close"
    visit.keys(ENTER)
    visit.wait(lambda: not visit.all("dialog[open]"), "a closed dialog")
    assert visit.run("return document.activeElement.dataset.key") == key


def test_the_focus_is_never_lost(visit: Visit, drawn: DrawnShop) -> None:
    """After everything that takes away what was pressed."""

    def held() -> bool:
        return visit.run(
            "return document.activeElement !== document.body && document.activeElement.checkVisibility()"
        )

    visit.open()
    visit.wait(lambda: visit.all(".people button"), "shoppers")
    visit.step(lambda: visit.all(".people button")[0].send_keys(ENTER))
    visit.wait(
        lambda: visit.run("return document.activeElement.id") == "list-title", "the heading of the list"
    )
    visit.step(lambda: visit.all("#grid [data-key^='More']")[0].send_keys(ENTER))
    visit.agrees()
    assert held()
    visit.step(lambda: visit.one("#undo").send_keys(ENTER))
    visit.agrees()
    assert visit.focused() == "Undo"
    visit.one("#more").send_keys(ENTER)
    visit.wait(lambda: len(visit.products()) == 96, "more products")
    assert visit.run("return document.activeElement.closest('li').dataset.item") == visit.products()[24]
    visit.step(lambda: visit.one("#change-shopper").send_keys(ENTER))
    visit.wait(
        lambda: visit.run("return document.activeElement.id") == "welcome-title", "the heading of the welcome"
    )
    visit.all(".pick button")[0].send_keys(ENTER)
    visit.step(lambda: visit.one(".go button").send_keys(ENTER))
    visit.agrees()
    visit.step(lambda: visit.all("#grid [data-key^='like']")[1].send_keys(ENTER))  # it leaves the list
    visit.agrees()
    assert visit.run(INSIDE, "#grid > li:nth-child(2)")


def test_a_choice_by_keys_counts_when_it_has_come_to_rest(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    before = visit.driver.current_url
    choice = visit.one("#filter-colour")
    choice.send_keys(DOWN, DOWN, DOWN)
    value = choice.get_attribute("value")
    assert value and visit.driver.current_url == before
    visit.step(lambda: visit.keys(TAB))
    assert visit.query.endswith(f"where=colour%3A{value}")
    assert {row["columns"]["colour"] for row in visit.asked()} == {value}
    visit.agrees()
