"""The pages in a real browser, in front of a real server and broker."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_parts import alert, info, stats
from npm_tools import npm_tool
from playwright.sync_api import Browser, Page, expect, sync_playwright
from school import SILENT, School, chromium

from edge_runtime.publishing.topics import Topics

pytestmark = pytest.mark.broker

TOKEN = "a-token-of-thirty-two-characters"
HTML = "<img src=x onerror=alert(1)>"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Which cards change from now on, ages apart.
TOUCHED = """() => {
  window.touched = new Set();
  const watch = new MutationObserver((changes) => changes.forEach(({ target }) => {
    const element = target.closest ? target : target.parentElement;
    if (!element.closest(".age")) touched.add(element.closest(".card")?.dataset.room);
  }));
  watch.observe(document.querySelector(".cards"), {
    subtree: true, childList: true, attributes: true, characterData: true,
  });
}"""
# The colours of a canvas.
COLOURS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = new Set();
  for (let at = 0; at < data.length; at += 4) found.add(data.slice(at, at + 3).join());
  return [...found];
}"""
PAGES = ("/", "/rooms/north/r1", "/devices")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not longer than this module: while Playwright runs, no other test of this thread can use asyncio.
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(SILENT))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school with a room of each kind; tests add rooms of their own and change no other."""
    with School(tmp_path_factory.mktemp("school")) as school:
        school.lesson("r1")
        school.device("r2", suppressed=1)
        school.device("r3", online=False, age_s=1500)
        closed = school.device("r4")
        school.say(closed.enabled_state, b"OFF", retain=True)
        hot = school.device("r10", site="south", dominant="neutral", shares={"neutral": 0.6, "happy": 0.4})
        school.say(hot.stats, stats(hot, ts=time.time(), temperature_c=91.0, health="degraded"))
        yield school


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, and looks in the end whether the browser complained about any of them."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(
        url: str, *, viewport: dict[str, int] = WIDE, expect_complaints: bool = False, **options: Any
    ) -> Page:
        context = browser.new_context(viewport=viewport, locale="en-GB", accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        if not expect_complaints:
            page.on(
                "console",
                lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def card(page: Page, room: str) -> Any:
    return page.locator(f'.card[data-room="{room}"]')


def names(page: Page) -> list[str]:
    return page.locator(".card-name").all_inner_texts()


# ---- rooms


def test_each_kind_of_room_is_told_in_words(school: School, open_page: Callable[..., Page]) -> None:
    page = open_page(school.url)
    live = card(page, "north/r1")
    for words in (
        "live",
        "Happy",
        "50 %",
        "neutral",
        "35 %",
        "0.70",
        "excellent",
        "15–19 of 20–24 people read",
        "task",
    ):
        expect(live).to_contain_text(words)
    expect(live.locator(".share:visible")).to_have_count(3)
    expect(live.locator(".trend")).to_have_attribute("aria-label", re.compile("Activity over the last hour"))
    assert live.locator(".share-fill").first.evaluate("bar => bar.style.width") == "50%"
    private = card(page, "north/r2")
    expect(private).to_contain_text("Fewer than 10 people can be read, so nothing is told.")
    expect(private).not_to_contain_text("%")
    expect(card(page, "north/r3")).to_contain_text("Last window 25 min ago.")
    expect(card(page, "north/r3").locator(".badge")).to_have_text("offline")
    expect(card(page, "north/r4")).to_contain_text("The camera is released")
    expect(card(page, "south/r10")).to_contain_text("The processor is at 91 °C and slows down.")
    expect(page.locator("#connection")).to_have_text("Live")


def test_a_new_window_changes_its_card_and_no_other(school: School, open_page: Callable[..., Page]) -> None:
    topics = school.device("r20")
    page = open_page(school.url)
    expect(card(page, "north/r20")).to_contain_text("Happy")
    page.evaluate(TOUCHED)
    school.window(
        topics,
        dominant="sad",
        shares={"sad": 0.65, "neutral": 0.35},
        grade="average",
        classroom_activity=0.25,
    )
    expect(card(page, "north/r20")).to_contain_text("Sad")
    expect(card(page, "north/r20")).to_contain_text("average")
    assert page.evaluate("[...touched]") == ["north/r20"]


def test_an_alert_is_told_wherever_its_room_is_shown(school: School, open_page: Callable[..., Page]) -> None:
    topics = school.device("r50")
    told = alert(topics, ts=round(time.time(), 3))
    school.say("roomtone/alert/north/r50/camera-1/confusion", told, retain=True)
    page = open_page(f"{school.url}/?text=r50&state=attention")
    expect(card(page, "north/r50")).to_contain_text(told.text)
    page.goto(f"{school.url}/devices?text=r50")
    expect(page.locator(".cell-verdict").last).to_contain_text(told.text)
    page.goto(f"{school.url}/rooms/north/r50")
    expect(page.locator(".verdicts")).to_contain_text(told.text)


def test_the_age_of_a_window_ticks(school: School, open_page: Callable[..., Page]) -> None:
    page = open_page(school.url)
    age = card(page, "north/r1").locator(".age")
    expect(age).to_have_text(re.compile(r"\d+ s ago"))
    before = age.inner_text()
    expect(age).not_to_have_text(before, timeout=3000)


def test_rooms_are_filtered_by_text_and_by_state_and_the_address_remembers(
    school: School, open_page: Callable[..., Page]
) -> None:
    page = open_page(school.url)
    expect(card(page, "north/r1")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("south")
    expect(page.locator(".card")).to_have_count(1)
    assert names(page) == ["r10"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("Private")).click()
    expect(page.locator(".card")).to_have_count(1)
    assert page.url.endswith("/?state=private")
    page.reload()
    expect(page.locator(".card")).to_have_count(1)
    assert names(page) == ["r2"]
    page.get_by_role("searchbox").fill("no such room")
    expect(page.locator(".notice")).to_contain_text("No room fits “no such room”")
    page.get_by_role("button", name="Show all rooms").click()
    expect(card(page, "north/r1")).to_be_visible()


def test_rooms_are_sorted_as_people_count_and_by_need(school: School, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{school.url}/?sort=attention")
    expect(card(page, "south/r10")).to_be_visible()
    order = names(page)
    assert max(order.index("r3"), order.index("r10")) < min(order.index("r1"), order.index("r2"))
    page.get_by_label("Sort by").select_option("name")
    assert [name for name in names(page) if name in ("r2", "r10", "r3")] == ["r2", "r3", "r10"]


def test_html_in_a_name_stays_text(school: School, open_page: Callable[..., Page]) -> None:
    topics = Topics("north", "r30", "camera-1")
    school.say(topics.availability, b"online", retain=True)
    school.say(
        topics.info, info(topics, bundle_name=HTML, deployment_contact=HTML, engine_reason=HTML), retain=True
    )
    school.say(f"roomtone/north/{HTML}/camera-1/state", b"x")
    page = open_page(f"{school.url}/devices")
    row = page.locator(".device-row", has_text="north/r30")
    expect(row.locator(".cell-runs")).to_contain_text(HTML)
    row.get_by_role("button").click()
    expect(row.locator(".detail")).to_contain_text(f"Contact{HTML}")
    expect(page.locator("#banner")).to_contain_text(f"Last: roomtone/north/{HTML}")
    assert page.locator("img:not([src='/static/icon.svg'])").count() == 0


# ---- one room


def open_lesson(school: School, open_page: Callable[..., Page], query: str = "") -> Page:
    page = open_page(f"{school.url}/rooms/north/r1{query}")
    expect(page.locator(".plot canvas")).to_have_count(2)
    expect(page.locator(".range-note")).to_contain_text("windows")
    return page


def test_a_room_shows_now_and_how_it_came_to_it(school: School, open_page: Callable[..., Page]) -> None:
    page = open_lesson(school, open_page)
    for words in ("Happy 50 %", "0.70 · excellent", "+0.30 / +0.10", "15–19 of 20–24", "pleasant, excited"):
        expect(page.locator(".tiles")).to_contain_text(words)
    expect(page.locator(".legend").first).to_have_text(
        re.compile("happy50 %.*surprise5 %.*neutral35 %.*sad10 %")
    )
    expect(page.locator(".aside")).to_contain_text(re.compile(r"Sad.*3 min.*45 %"))
    expect(page.locator(".plots")).to_contain_text(re.compile("Activity in force: task"))
    # Each label's colour is on the canvas, and so is the private minute.
    seen = page.locator(".plot canvas").first.evaluate(COLOURS)
    assert {"230,159,0", "142,153,168", "0,114,178", "227,240,249"} <= set(seen)


def test_the_reading_line_follows_the_mouse_and_the_arrow_keys(
    school: School, open_page: Callable[..., Page]
) -> None:
    page = open_lesson(school, open_page)
    plot = page.locator(".plot").first
    readout = page.locator(".readout")
    expect(readout).to_have_text("")
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 200)
    expect(readout).to_contain_text("task · happy 50 %")
    page.mouse.move(5, 5)
    plot.focus()
    page.keyboard.press("End")
    last = readout.inner_text()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    expect(readout).to_contain_text("private")
    assert readout.inner_text() != last


def test_a_room_is_zoomed_by_mouse_and_keyboard_and_out_again(
    school: School, open_page: Callable[..., Page]
) -> None:
    page = open_lesson(school, open_page)
    note = page.locator(".range-note")
    whole = int(note.inner_text().split()[0])
    box = page.locator(".plot").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + 200, steps=4)
    page.mouse.up()
    out = page.get_by_role("button", name="Zoom out")
    expect(out).to_be_visible()
    expect(note).to_have_text(re.compile(r"^\d+ "))  # not "Loading" any more
    assert int(note.inner_text().split()[0]) < whole
    out.click()
    expect(note).to_contain_text(f"{whole} windows")
    page.locator(".plot").first.focus()
    page.keyboard.press("+")
    expect(out).to_be_visible()
    page.keyboard.press("Escape")
    expect(out).to_be_hidden()


def test_the_csv_is_exactly_what_is_shown(school: School, open_page: Callable[..., Page]) -> None:
    page = open_lesson(school, open_page, "?range=lesson")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    assert re.fullmatch(r"roomtone-north-r1-[0-9T-]+\.csv", waiting.value.suggested_filename)
    text = Path(waiting.value.path()).read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == int(page.locator(".range-note").inner_text().split()[0])
    assert [row["suppressed"] for row in rows].count("1") == 1
    told = [row for row in rows if row["suppressed"] == "0"]
    assert {(row["share_happy"], row["context"], row["device"]) for row in told} == {
        ("0.5", "task", "camera-1")
    }
    assert [row["share_happy"] for row in rows if row["suppressed"] == "1"] == [""]


def test_ranges_and_earlier_times_have_addresses(school: School, open_page: Callable[..., Page]) -> None:
    page = open_lesson(school, open_page)
    page.get_by_role("button", name="Day", exact=True).click()
    expect(page.locator(".range-note")).to_contain_text("windows")
    assert page.url.endswith("?range=day")
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator(".notice")).to_contain_text("No window in this time")
    assert "end=" in page.url
    page.get_by_role("button", name="Now", exact=True).click()
    expect(page.locator(".plot canvas")).to_have_count(2)


def test_the_same_is_there_as_a_table(school: School, open_page: Callable[..., Page]) -> None:
    page = open_lesson(school, open_page)
    page.get_by_text("Show as a table").click()
    rows = page.locator(".table-host tbody tr")
    expect(rows.first).to_contain_text("50 %")
    assert rows.count() == int(page.locator(".range-note").inner_text().split()[0])


def test_of_two_cameras_of_a_room_one_is_shown_at_a_time(
    school: School, open_page: Callable[..., Page]
) -> None:
    school.device("r60", name="front", suppressed=1)
    back = school.device("r60", name="back", age_s=65)
    school.window(back)
    page = open_page(f"{school.url}/rooms/north/r60")
    camera = page.get_by_label("Camera")
    expect(camera).to_have_value("back")
    expect(page.locator(".range-note")).to_contain_text("2 windows")
    camera.select_option("front")
    expect(page.locator(".range-note")).to_contain_text("1 window,")
    assert page.url.endswith("?camera=front")


def test_a_live_window_is_drawn_at_once(school: School, open_page: Callable[..., Page]) -> None:
    topics = school.lesson("r40", minutes=3)
    page = open_page(f"{school.url}/rooms/north/r40")
    expect(page.locator(".range-note")).to_contain_text("4 windows")
    school.window(topics, dominant="sad", shares={"sad": 0.9, "happy": 0.1})
    expect(page.locator(".tiles")).to_contain_text("Sad 90 %")
    expect(page.locator(".range-note")).to_contain_text("5 windows")


# ---- devices


def test_devices_say_what_is_wrong_and_what_really_runs(
    school: School, open_page: Callable[..., Page]
) -> None:
    page = open_page(f"{school.url}/devices")
    hot = page.locator(".device-row", has_text="south/r10")
    for words in (
        "degraded",
        "The processor is at 91 °C",
        "scan 66 ms",
        "91 °C",
        "hafnet_half 1.0.0 · openvino int8",
        "0.1.0",
    ):
        expect(hot).to_contain_text(words)
    hot.get_by_role("button").click()
    for words in (
        "int8 is right and 1.9 times as fast here",
        "avx512_vnni",
        "groups of 10 and more",
        "infer",
        "12.0",
    ):
        expect(hot.locator(".detail")).to_contain_text(words)
    first = page.locator(".device-row").first
    expect(first).to_contain_text("Offline")
    page.get_by_role("button", name="Temp.").click()
    page.get_by_role("button", name="Temp.").click()
    expect(page.locator(".device-row").first).to_contain_text("91 °C")
    page.get_by_role("searchbox").fill("offline")
    expect(page.locator(".device-row")).to_have_count(1)


# ---- every page


@pytest.mark.parametrize("path", PAGES)
def test_a_narrow_screen_scrolls_one_way_only(
    school: School, open_page: Callable[..., Page], path: str
) -> None:
    page = open_page(school.url + path, viewport=NARROW)
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(school: School, open_page: Callable[..., Page], theme: str) -> None:
    axe = npm_tool("axe-core", "4.14.1") / "axe-core" / "axe.min.js"
    page = open_page(school.url, color_scheme=theme)
    for path in PAGES:
        page.goto(school.url + path)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".card, .plot canvas, .device-row").first).to_be_visible()
        page.evaluate(axe.read_text())  # as a debugger would: the page's own policy would not let it in
        assert serious_faults(page) == [], path
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert [fault for fault, _ in serious_faults(page)] == ["button-name"]  # it can find one


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """What axe, loaded into the page, calls serious or critical: the rule, and where."""
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]][:3])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def test_pages_are_reached_by_keyboard_and_by_going_back(
    school: School, open_page: Callable[..., Page]
) -> None:
    page = open_page(school.url)
    expect(card(page, "north/r1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    card(page, "north/r1").get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("r1")
    assert page.title() == "r1 · roomtone"
    page.go_back()
    expect(card(page, "north/r1")).to_be_visible()
    page.get_by_role("link", name="Devices").click()
    expect(page.locator("h1")).to_have_text("Devices")


def test_a_chosen_theme_is_kept(school: School, open_page: Callable[..., Page]) -> None:
    page = open_page(school.url, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button = page.locator("#theme")
    button.click()
    button.click()
    expect(button).to_have_attribute("aria-label", "Colours: dark")
    assert page.evaluate(ground) != light
    page.reload()
    expect(button).to_have_attribute("aria-label", "Colours: dark")


def test_an_address_that_is_none_says_so(school: School, open_page: Callable[..., Page]) -> None:
    page = open_page(f"{school.url}/nowhere", expect_complaints=True)
    expect(page.locator("h1")).to_have_text("There is no such page")


@pytest.mark.parametrize("path", PAGES)
def test_the_first_load_transfers_less_than_150_kb(
    school: School, open_page: Callable[..., Page], path: str
) -> None:
    page = open_page("about:blank")
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    loaded: list[float] = []
    session.on("Network.loadingFinished", lambda done: loaded.append(done["encodedDataLength"]))
    page.goto(school.url + path)
    expect(page.locator(".card, .plot canvas, .device-row").first).to_be_visible()
    page.wait_for_timeout(200)
    assert len(loaded) > 8
    assert sum(loaded) < 150_000


# ---- when something is away


@pytest.fixture(scope="module")
def restless_school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A school whose broker and server come and go; each test brings rooms of its own."""
    with School(tmp_path_factory.mktemp("restless")) as school:
        yield school


def test_a_lost_broker_is_explained_and_found_again(
    restless_school: School, open_page: Callable[..., Page]
) -> None:
    school = restless_school
    topics = school.device("r1")
    page = open_page(school.url)
    expect(card(page, "north/r1")).to_contain_text("Happy")
    school.broker.stop()
    expect(page.locator("#connection")).to_have_text("Broker lost")
    expect(page.locator("#banner")).to_contain_text(f"mqtt://127.0.0.1:{school.broker.port} is away")
    expect(card(page, "north/r1")).to_contain_text("Happy")
    school.broker.start()
    expect(page.locator("#connection")).to_have_text("Live", timeout=15_000)
    expect(page.locator("#banner")).to_be_hidden()
    school.window(topics, dominant="sad", shares={"sad": 1.0})
    expect(card(page, "north/r1")).to_contain_text("Sad")


def test_a_restarted_server_is_found_again_with_what_is_new(
    restless_school: School, open_page: Callable[..., Page]
) -> None:
    school = restless_school
    school.device("r12")
    page = open_page(school.url, expect_complaints=True)
    expect(card(page, "north/r12")).to_contain_text("Happy")
    school.stop()
    expect(page.locator("#connection")).to_have_text("Server lost")
    expect(page.locator("#banner")).to_contain_text("This page has lost its server")
    for leaf in ("availability", "state", "info"):
        school.say(f"roomtone/north/r12/camera-1/{leaf}", b"", retain=True)
    school.device("r13")
    school.start()
    expect(page.locator("#connection")).to_have_text("Live", timeout=15_000)
    expect(card(page, "north/r13")).to_contain_text("Happy")
    expect(card(page, "north/r12")).to_have_count(0)


def test_a_wrong_token_is_told_and_the_right_one_leads_to_how_to_start_the_first_device(
    tmp_path: Path, open_page: Callable[..., Page]
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with School(tmp_path, "--token-file", str(tmp_path / "token"), "--host", "127.0.0.1") as school:
        page = open_page(f"{school.url}/devices", expect_complaints=True)
        page.get_by_label("Token").fill("a guess")
        page.keyboard.press("Enter")
        expect(page.locator("#message")).to_contain_text("This is not the token")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("h1")).to_have_text("Devices")
        expect(page.locator(".notice")).to_contain_text("No device has spoken yet")
        page.get_by_role("link", name="Rooms").click()
        url = f"mqtt://127.0.0.1:{school.broker.port}"
        expect(page.locator(".notice")).to_contain_text(f"roomtone run --source 0 --broker {url}")
        school.device("r1")
        expect(card(page, "north/r1")).to_contain_text("Happy")
        expect(page.locator(".notice")).to_be_hidden()
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("h1")).to_have_text("Log in")
