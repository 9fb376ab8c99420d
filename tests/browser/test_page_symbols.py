"""The live page of a model of symbols: its last events and a forecast as texts, where there is no number to draw."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from export.config import Config
from export.sample import random_file
from tests.browser.live import PATIENCE, Live, looking

expect.set_options(timeout=PATIENCE * 1000)

SYMBOLS = ("", "up", "down", "disk full")


@pytest.fixture(scope="module")
def live(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("symbols")
    config = Config(("log",), ("log",), 8, task="symbol", outcomes=4, embedding=4, cell="gru")
    random_file(folder / "model.onnx", config, symbols=SYMBOLS)
    live = Live.made(kafka.bootstrap_servers, folder, folder / "model.onnx", partitions=1)
    try:
        live.start()
        yield live
    finally:
        live.stop()


def test_symbols_stand_in_a_table_with_what_was_expected_and_a_forecast_is_a_text(browser: Browser, live: Live) -> None:
    def say(*symbols: str) -> None:
        live.produce(*((b"host/a", json.dumps({"log": symbol}).encode()) for symbol in symbols))

    say("up", "down")
    with looking(browser, live) as seen:
        expect(seen.page.locator("#stream-count")).to_have_text("1")
        seen.page.get_by_role("combobox").fill("host")
        seen.page.get_by_role("option").click()
        expect(seen.page.locator("#picked-title")).to_have_text("host/a")
        seen.until("its second step is shown", lambda: seen.fact("Step") == "2")
        expect(seen.page.locator("#stream-charts")).to_be_hidden()
        say("disk full", "up")
        rows = seen.page.locator("#events-body tr")
        expect(rows.first.locator("td").nth(1)).to_have_text("up")
        expect(rows.nth(1).locator("td").nth(1)).to_have_text("disk full")
        expect(rows.first.locator("td").nth(2)).to_contain_text("%")

        seen.page.get_by_label("Steps").fill("5")
        seen.page.get_by_role("button", name="Forecast").click()
        expect(seen.page.locator("#forecast-told")).to_contain_text("Forecast:")
        assert seen.complaints == []
