"""The page in a browser: every step a visitor can take gives the list that the server gives for its address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from browsing import BROWSER, Visit, chromium
from drawn_shop import DrawnShop
from web_shop import Client

pytestmark = BROWSER


def steps(visit: Visit) -> list[tuple[str, str]]:
    return [pair for pair in parse_qsl(visit.query) if pair[0] != "user"]


def ranks(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {row["item"]: row["rank"] for row in rows}


def attribute(visit: Visit, place: int = 0) -> tuple[str, str]:
    """Name and value of the strongest reason of a product."""
    name = visit.asked()[place]["because"][0]["feature"]
    return name, name.partition("=")[2]


def test_a_shopper_is_found_by_a_part_of_an_id(visit: Visit, drawn: DrawnShop) -> None:
    wanted = drawn.data.users[137]
    visit.open()
    field = visit.one("#find-shopper")
    field.send_keys(wanted[-3:])
    visit.wait(
        lambda: all(wanted[-3:] in one.text for one in visit.all(".people li")) and visit.all(".people li"),
        "shoppers that fit",
    )
    visit.step(lambda: next(one for one in visit.all(".people button") if wanted in one.text).click())
    assert visit.query == f"user={wanted}"
    assert wanted in visit.one("h1").text and wanted in visit.driver.title
    assert len(visit.agrees()) == 24
    bought = visit.client.document(f"/api/users/{wanted}")["items"]
    assert bought and not {row["item"] for row in bought} & set(visit.products())
    shown = visit.pictures("#who", min(8, len(bought)))
    assert [one.accessible_name for one in shown] == [row["title"] for row in bought[:8]]


def test_a_search_for_nobody_says_so(visit: Visit) -> None:
    visit.open().one("#find-shopper").send_keys("nobody at all")
    visit.wait(lambda: "nobody at all" in visit.text("#welcome [role=status]"), "a sentence about it")
    assert not visit.all(".people button")


def test_somebody_new_is_known_by_what_they_like(visit: Visit) -> None:
    visit.open()
    pictures = visit.all(".pick button")[:3]
    names = [one.accessible_name for one in pictures]
    assert not [one for one in visit.all(".go button") if one.is_displayed()]
    for picture in pictures:
        picture.click()
    assert [one.get_attribute("aria-pressed") for one in pictures] == ["true"] * 3
    visit.step(lambda: visit.one(".go button").click())
    likes = [value for name, value in parse_qsl(visit.query) if name == "like"]
    assert len(likes) == 3
    for like, name in zip(likes, names):
        assert visit.client.document(f"/api/items/{like}")["title"] in name
    assert not set(likes) & set(visit.agrees())
    shown = [one.accessible_name for one in visit.pictures("#who", 3)]
    assert all(one in name for one, name in zip(shown, names))
    # One more, from the list itself; and then no longer.
    more = visit.products()[1]
    button = f"#grid > li[data-item='{more}'] [data-key='like {more}']"
    visit.step(lambda: visit.one(button).click())
    assert [value for name, value in parse_qsl(visit.query) if name == "like"] == [*likes, more]
    assert more not in visit.agrees()
    visit.pictures("#who", 4)
    visit.step(lambda: visit.all("#who .take")[0].click())
    assert [value for name, value in parse_qsl(visit.query) if name == "like"] == [*likes[1:], more]
    visit.agrees()


def test_a_chip_asks_for_more_and_the_page_tells_what_it_did(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    before = visit.asked()
    name, value = attribute(visit)
    product = visit.all("#grid > li")[0]
    visit.step(lambda: visit.named("button", f"More {value}", product).click())
    assert steps(visit) == [("boost", f"{name}:1")]
    visit.agrees()
    after = visit.asked()

    def having(rows: list[dict[str, Any]]) -> int:
        return sum(dict(row["attributes"]).get(name, 0) >= 0.5 for row in rows)

    assert having(after) > having(before)
    told = visit.one("#effect").text
    assert f"{having(after)} of {len(after)}" in told and f"{having(before)} before" in told
    places = {word: visit.all(f"#effect svg.{word} rect.has") for word in ("before", "now")}
    assert (len(places["before"]), len(places["now"])) == (having(before), having(after))
    visit.wait(lambda: visit.text("#live").strip() in told, "the same for a screen reader")
    assert f"{having(after)} of {len(after)}" in visit.text("#live")
    # Each product tells by how many places it moved, or that it is new here.
    was, now = ranks(before), ranks(after)
    for card in visit.all("#grid > li"):
        item = card.get_attribute("data-item")
        moved = [one.text for one in card.find_elements("css selector", ".moved")]
        if item not in was:
            assert moved == ["new here"]
        elif was[item] != now[item]:
            assert moved == [f"{'↑' if now[item] < was[item] else '↓'} {abs(was[item] - now[item])}"]
        else:
            assert not moved
    assert any(was.get(item) != rank for item, rank in now.items())


def test_a_link_may_leave_the_amount_out(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather")
    shown = visit.agrees()
    slider = visit.one("#wishes input[type=range]")
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather:{slider.get_attribute('value')}")
    assert visit.agrees() == shown


def test_a_chip_asks_for_less(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    name, value = attribute(visit)
    visit.step(lambda: visit.named("button", f"Less {value}", visit.all("#grid > li")[0]).click())
    assert steps(visit) == [("boost", f"{name}:-1")]
    visit.agrees()
    assert visit.text("#wishes .wish-words") == "less"


def test_a_slider_says_its_amount_in_words_and_a_wish_can_be_taken_back(
    visit: Visit, drawn: DrawnShop
) -> None:
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather:0.5")
    slider = visit.one("#wishes input[type=range]")
    assert slider.accessible_name == "How much leather"
    words = [slider.get_attribute("aria-valuetext")]
    for _ in range(3):
        visit.step(lambda: visit.one("#wishes input[type=range]").send_keys("\ue014"))  # the right arrow
        words.append(visit.one("#wishes input[type=range]").get_attribute("aria-valuetext"))
    assert steps(visit) == [("boost", "material=leather:1.25")]
    assert words[0] == "a little more" and words[-1] == "much more"
    visit.agrees()
    visit.step(lambda: visit.press("Take back leather"))
    assert steps(visit) == []
    assert visit.focused() == "Search 49 attributes"  # not lost with what was taken away
    assert len(visit.agrees()) == 24


def test_attributes_are_found_by_search_and_by_group(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    assert "49 attributes" in visit.text("#attributes")
    shown = visit.search("VELV")
    assert "velvet" in shown.text
    visit.step(lambda: visit.press("More velvet", shown))
    assert steps(visit) == [("boost", "material=velvet:1")]
    visit.agrees()


def test_more_like_this_moves_the_list_toward_a_product(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    item, title = (visit.asked()[5][key] for key in ("item", "title"))
    visit.step(lambda: visit.press(f"More like {title}"))
    assert steps(visit) == [("toward", f"{item}:1")]
    visit.agrees()
    assert visit.products().index(item) < 5
    assert title in visit.one("#wishes").text


def test_why_opens_the_terms_and_they_sum_to_the_score(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}&boost=material%3Dleather:0.5")
    row = visit.asked()[2]
    key = f"[data-key='open {row['item']}']"
    visit.one(key).click()
    visit.wait(lambda: visit.all("dialog[open] tfoot"), "the terms")

    def number(text: str) -> float:
        return float(text.replace("−", "-"))

    terms = [number(one.text) for one in visit.all("dialog tbody td.amount")]
    (score,) = [number(one.text) for one in visit.all("dialog tfoot td.amount")]
    assert abs(score - row["score"]) <= 0.005 + 1e-6
    assert len(terms) > 3 and abs(sum(terms) - score) <= 0.005 * (len(terms) + 1)
    assert "leather" in visit.text("dialog .asked")
    # Every bar points where its number does.
    for bar in visit.all("dialog tbody tr"):
        amount = number(bar.find_element("css selector", "td.amount").text)
        kind = bar.find_element("css selector", "rect").get_attribute("class")
        assert kind == ("neg" if amount < 0 else "pos")
    assert len(visit.all("dialog .few button")) == 8
    visit.keys("\ue00c")  # Escape
    visit.wait(lambda: not visit.all("dialog[open]"), "a closed dialog")
    assert visit.run("return document.activeElement.matches(arguments[0])", key)


def test_undo_takes_back_one_step_and_the_browser_goes_both_ways(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    first = visit.agrees()
    for _ in range(2):
        visit.step(lambda: visit.all("#grid .step")[1].click())
    both = visit.query
    visit.step(lambda: visit.press("Undo"))
    assert visit.query.count("boost=") == 1
    visit.agrees()
    visit.step(visit.driver.back)
    assert visit.query.count("boost=") == 0 and visit.agrees() == first
    visit.step(visit.driver.forward)
    visit.step(visit.driver.forward)
    assert visit.query == both
    visit.agrees()
    visit.step(lambda: visit.press("Reset"))
    assert steps(visit) == [] and visit.agrees() == first
    visit.step(lambda: visit.press("Undo"))
    assert visit.query == both


def test_a_link_gives_the_same_list_in_a_fresh_browser(
    visit: Visit, drawn: DrawnShop, drawn_client: Client, tmp_path: Path
) -> None:
    visit.open(f"?user={drawn.data.users[8]}")
    visit.step(lambda: visit.all("#grid .step")[1].click())
    visit.step(lambda: visit.all("#grid [data-key^='toward']")[4].click())
    shown = visit.agrees()
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": visit.base}
    visit.driver.execute_cdp_cmd("Browser.grantPermissions", allowed)
    visit.press("Copy link")
    visit.named("button", "Copied")
    link = visit.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert link == visit.driver.current_url
    with chromium(tmp_path / "other") as driver:
        other = Visit(driver, drawn_client)
        other.open(link.partition("/?")[2].join(("?", "")))
        assert other.products() == shown
        # Undo works here too, though this browser has been nowhere else.
        other.step(lambda: other.press("Undo"))
        assert "toward=" not in other.query and "boost=" in other.query
        other.check()


def test_filters_hold_for_every_product_and_can_be_removed(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    for colour in ("black", "pink"):
        visit.step(lambda colour=colour: visit.choose("Colour", colour))
    shown = visit.agrees()
    columns = {row["item"]: row["columns"]["colour"] for row in visit.asked()}
    assert {columns[item] for item in shown} == {"black", "pink"}
    visit.step(lambda: visit.press("Remove colour pink"))
    visit.agrees()
    assert {row["columns"]["colour"] for row in visit.asked()} == {"black"}


def test_nothing_left_by_the_filters_offers_a_way_out(
    visit: Visit, drawn: DrawnShop, drawn_client: Client
) -> None:
    facts = drawn_client.document("/api/model")
    values = {one["column"]: [row["value"] for row in one["values"]] for one in facts["filters"]}
    empty = next(
        (colour, garment)
        for colour in values["colour"]
        for garment in values["garment"]
        if not drawn_client.document(f"/api/items?where=colour:{colour}&where=garment:{garment}")["items"]
    )
    visit.open(f"?user={drawn.data.users[3]}&where=colour:{empty[0]}&where=garment:{empty[1]}")
    assert not visit.products()
    visit.step(lambda: visit.press("Remove the filters"))
    assert len(visit.agrees()) == 24


def test_a_date_shows_the_style_of_that_time(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    now = visit.agrees()
    first = visit.client.document("/api/model")["epochs"][0]
    visit.step(lambda: visit.choose("Style of", first["to"]))
    assert steps(visit) == [("at", first["to"])]
    assert visit.agrees() != now


def test_the_ranking_by_attributes_alone_is_another(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    learned = visit.agrees()
    visit.step(lambda: visit.choose("Ranked by", "attributes alone"))
    assert steps(visit) == [("by", "knn")]
    assert visit.agrees() != learned
    visit.step(lambda: visit.named("button", "More velvet", visit.search("velvet")).click())
    visit.agrees()
    visit.one("#grid [data-key^='open']").click()
    visit.wait(lambda: visit.all("dialog[open] .few button"), "what is known of the product")
    assert "has no terms" in visit.text("dialog")


def test_trends_are_step_curves_over_the_epochs(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    visit.wait(lambda: len(visit.all("#trends .curve")) == 8, "eight curves")
    for curve in visit.all("#trends .curve"):
        path = curve.find_element("css selector", "path.line").get_attribute("d")
        assert path.count("H") == 3  # three epochs
        assert curve.find_elements("css selector", ".shown img")
    visit.one("#find-trend").send_keys("leather", "\ue007")
    visit.wait(lambda: "leather" in visit.text("#trends .curve h3"), "the curve of leather")
    found = visit.client.document("/api/trends?feature=material%3Dleather")
    dates = visit.text("#trends .curve svg")
    assert found["rows"][0]["from"][:4] in dates and found["rows"][-1]["to"][:4] in dates
    visit.step(lambda: visit.press("More leather", visit.all("#trends .curve")[0]))
    assert steps(visit) == [("boost", "material=leather:1")]
    visit.agrees()


def test_a_photo_is_read_and_shows_what_is_like_it(visit: Visit, drawn: DrawnShop) -> None:
    visit.open(f"?user={drawn.data.users[3]}")
    item = visit.products()[0]
    visit.all("#photo-file")[0].send_keys(str(drawn.images / f"{item}.jpg"))
    visit.wait(lambda: visit.all("dialog[open] .few button"), "products like it")
    title = visit.client.document(f"/api/items/{item}")["title"]
    assert visit.all("dialog .few button")[0].accessible_name == title
    read = [one.text for one in visit.all("dialog .reason")]
    assert len(read) >= 3
    assert visit.run("return document.querySelector('dialog .frame img').naturalWidth") > 0


def test_a_model_without_time_and_network_shows_neither(
    visiting: Callable[..., Visit], drawn: DrawnShop
) -> None:
    from web_shop import serving

    with serving(drawn.timeless) as client:
        visit = visiting(client).open(f"?user={drawn.data.users[3]}")
        assert len(visit.agrees()) == 24
        assert visit.all("#grid .frame.drawn img")  # cards, where there are no photos
        for absent in ("#trends", "#date", "#photo-file"):
            assert not [one for one in visit.all(absent) if one.is_displayed()]
        visit.step(lambda: visit.all("#grid .step")[1].click())
        visit.agrees()
