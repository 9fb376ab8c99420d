"""The live page in a real browser, of a real service with events that go on: what it shows, and what can be done."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from export.sample import random_model
from tests.browser.live import PATIENCE, TOKEN, Live, Seen, looking, waves

expect.set_options(timeout=PATIENCE * 1000)

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
LIGHT = {"actual": "22 32 44", "predicted": "11 98 184", "surprise": "194 80 26"}
DARK = {"actual": "229 234 241", "predicted": "102 174 245", "surprise": "242 145 90"}


@pytest.fixture(scope="module")
def live(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    random_model(folder / "model.onnx", hidden=4, scaling="stream", lags=(1, 2))
    live = Live.made(kafka.bootstrap_servers, folder, folder / "model.onnx", partitions=2)
    live.produce(*map(waves, range(24 * 20)))
    try:
        live.start()
        with live.fed(waves):
            yield live
    finally:
        live.stop()


@pytest.fixture
def seen(browser: Browser, live: Live) -> Iterator[Seen]:
    with looking(browser, live, viewport=WIDE) as seen:
        yield seen


def event(key: str, value: float) -> tuple[bytes, bytes]:
    return key.encode(), json.dumps({"value": value}).encode()


def position(seen: Seen) -> int:
    """Of all partitions together."""
    cells = seen.page.locator("#partitions tr.partition td:nth-child(4)").all_inner_texts()
    return sum(int(re.sub(r"\D", "", text) or 0) for text in cells)


def test_it_loads_without_a_complaint_and_asks_nobody_but_the_service(seen: Seen, live: Live) -> None:
    expect(seen.page.locator("#state")).to_have_text("ready")
    expect(seen.page.locator("#application")).to_have_text(live.topic)
    expect(seen.page.locator("#stream-count")).to_have_text(re.compile("[0-9]"))
    expect(seen.page.locator("#partitions tr.partition")).to_have_count(2)
    expect(seen.page.locator("#surprising li:visible").first).to_be_visible()

    assert seen.complaints == []
    assert [r.url for r in seen.requests if not r.url.startswith(f"{live.address}/")] == []
    assert seen.page.request.get(live.address).headers["content-security-policy"].startswith("default-src 'none';")


def test_its_numbers_move_while_events_flow(seen: Seen) -> None:
    expect(seen.page.locator("#rate")).to_have_text(re.compile("[1-9]"))
    expect(seen.page.locator("#latency")).to_have_text(re.compile("[1-9]"))
    before = seen.until("positions are shown", lambda: position(seen))
    seen.until("the positions grow", lambda: position(seen) > before)
    seen.until("throughput is drawn", lambda: seen.painted("#throughput", LIGHT["predicted"]))
    seen.until("latency is drawn", lambda: seen.painted("#latencies", LIGHT["predicted"]))
    assert seen.complaints == []


def test_a_stream_is_found_and_picked_by_the_keyboard_alone(seen: Seen) -> None:
    expect(seen.page.locator("#state")).to_have_text("ready")
    seen.page.keyboard.press("/")
    expect(seen.page.get_by_role("combobox")).to_be_focused()
    seen.page.keyboard.type("sensor-1")
    expect(seen.page.get_by_role("option")).to_have_count(8)
    expect(seen.page.locator("#search-told")).to_contain_text("The first 8 streams")
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("ArrowDown")
    expect(seen.page.get_by_role("option", selected=True)).to_contain_text("sensor-11")
    seen.page.keyboard.press("Enter")

    expect(seen.page.locator("#picked-title")).to_have_text("sensor-11")
    expect(seen.page.locator("#picked-title")).to_be_focused()
    expect(seen.page.get_by_role("listbox")).to_be_hidden()
    seen.page.keyboard.press("Tab")
    expect(seen.page.locator("#forecast-steps")).to_be_focused()
    assert seen.complaints == []


def test_a_key_that_nobody_has_is_told(seen: Seen) -> None:
    expect(seen.page.locator("#state")).to_have_text("ready")
    seen.page.get_by_role("combobox").fill("no such/stream")
    expect(seen.page.locator("#search-told")).to_have_text("No stream begins so.")
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#picked-title")).to_have_text("no such/stream")
    expect(seen.page.locator("#picked-told")).to_contain_text("no stream")


def test_a_key_is_text_whatever_it_says_and_the_address_leads_to_streams_alone(seen: Seen, live: Live) -> None:
    key = '<img src="x" onerror="alert(1)">'
    live.produce(event(key, 1.0))
    expect(seen.page.locator("#state")).to_have_text("ready")
    seen.page.evaluate("key => (location.hash = `stream=${encodeURIComponent(key)}`)", key)
    expect(seen.page.locator("#picked-title")).to_have_text(key)
    seen.until("it is there", lambda: seen.fact("Step") == "1")
    seen.page.get_by_role("combobox").fill("<img")
    expect(seen.page.locator("#suggestions")).to_contain_text(key)
    assert seen.page.locator("main img").count() == 0
    seen.page.evaluate("location.hash = 'stream=../model'")
    expect(seen.page.locator("#picked-stream")).to_be_hidden()


def test_one_of_the_most_surprising_streams_is_picked_by_a_click(seen: Seen) -> None:
    row = seen.page.locator("#surprising li:visible button").first
    row.hover()  # it does not move away from under the pointer
    key = row.locator("span").inner_text()
    row.click()
    expect(seen.page.locator("#picked-title")).to_have_text(key)
    assert seen.complaints == []


def test_the_picked_stream_is_drawn_and_goes_on(seen: Seen) -> None:
    expect(seen.page.locator("#state")).to_have_text("ready")
    seen.pick("sensor-05")
    seen.until("what is actual is drawn", lambda: seen.painted("#stream-chart", LIGHT["actual"]))
    seen.until("what is predicted is drawn", lambda: seen.painted("#stream-chart", LIGHT["predicted"]))
    seen.until("the surprise is drawn", lambda: seen.painted("#surprise-chart", LIGHT["surprise"]))
    seen.page.get_by_text("Last events").click()
    rows = seen.page.locator("#events-body tr")
    before, step = rows.count(), seen.fact("Step")
    seen.until("the table grows", lambda: rows.count() > before)
    seen.until("the step goes on", lambda: seen.fact("Step") != step)

    seen.page.get_by_label("Steps").fill("12")
    seen.page.get_by_role("button", name="Forecast").click()
    expect(seen.page.locator("#forecast-legend")).to_be_visible()
    assert seen.complaints == []


def test_a_stream_is_reset_once_it_is_confirmed_and_not_before(seen: Seen, live: Live) -> None:
    key = "to-be-reset"
    live.produce(*(event(key, value) for value in (1, 2, 3)))
    expect(seen.page.locator("#state")).to_have_text("ready")
    seen.pick(key)
    seen.until("its third step is shown", lambda: seen.fact("Step") == "3")
    dialog = seen.page.get_by_role("dialog", name="Reset this stream?")

    seen.page.get_by_role("button", name="Reset…").click()
    expect(dialog).to_contain_text(key)
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    seen.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    live.produce(event(key, 4))
    seen.until("its fourth step is shown", lambda: seen.fact("Step") == "4")

    seen.page.get_by_role("button", name="Reset…").click()
    dialog.get_by_role("button", name="Reset the stream").click()
    expect(seen.page.locator("#picked-told")).to_contain_text("Reset at")
    live.produce(event(key, 5))
    seen.until("its first step is shown", lambda: seen.fact("Step") == "1")
    assert [said for said in seen.complaints if "404" not in said] == []  # it was not there in between


def test_a_wrong_token_is_refused_and_told_and_the_right_one_opens_the_page(browser: Browser, live: Live) -> None:
    with looking(browser, live, token=None, viewport=WIDE) as seen:
        dialog = seen.page.get_by_role("dialog")
        field = dialog.get_by_label("Token")
        expect(field).to_be_focused()
        field.fill("another-token")
        seen.page.keyboard.press("Enter")
        expect(dialog.get_by_role("alert")).to_have_text("This token is not accepted.")
        expect(seen.page.locator("#model")).not_to_have_text(re.compile("[0-9a-f]"))
        field.fill(TOKEN)
        seen.page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(seen.page.locator("#state")).to_have_text("ready")
        seen.page.reload()  # the tab keeps it
        expect(seen.page.locator("#state")).to_have_text("ready")
        assert [said for said in seen.complaints if "401" not in said] == []


@pytest.mark.parametrize(("scheme", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_it_can_be_read_on_a_phone_in_light_and_dark(
    browser: Browser, live: Live, scheme: Any, colours: dict[str, str]
) -> None:
    with looking(browser, live, viewport=PHONE, color_scheme=scheme, device_scale_factor=2) as seen:
        expect(seen.page.locator("#state")).to_have_text("ready")
        seen.pick("sensor-07")
        seen.page.get_by_text("Last events").click()
        seen.until("it is drawn", lambda: seen.painted("#stream-chart", colours["actual"]))
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        told = "dt, dd, h1, h2, h3, th, td, .aside, .legend, #application, #state, #events summary, button, label"
        weak = {text: ratio for text, ratio in seen.page.evaluate(CONTRAST, told) if ratio < 4.5}
        assert weak == {}
        assert seen.complaints == []


# Of each text that shows: [text, contrast to what lies behind it], as WCAG 2 has it.
CONTRAST = """told => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = c => c / 255 <= .03928 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  return [...document.querySelectorAll(told)].filter(e => e.checkVisibility() && e.textContent.trim()).map(e => {
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return [`${e.tagName} ${e.id} ${e.textContent.trim().slice(0, 30)}`, (a + .05) / (b + .05)];
  });
}"""


def test_a_lost_connection_is_told_and_found_again(seen: Seen, live: Live) -> None:
    expect(seen.page.locator("#state")).to_have_text("ready")
    live.stop()
    expect(seen.page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    expect(seen.page.locator("#state")).to_have_text("connection lost")
    expect(seen.page.locator("#as-of")).to_have_css("color", "rgb(168, 51, 10)")  # it is of the past, and says so
    before = position(seen)

    live.start()
    expect(seen.page.locator("#state")).to_have_text("ready")
    expect(seen.page.locator("#lost")).to_be_hidden()
    seen.until("its numbers move again", lambda: position(seen) > before)
