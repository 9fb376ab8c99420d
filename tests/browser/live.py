"""A service that is looked at: on a real broker, with events that go on, and its page in a browser."""

import json
import math
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from localbroker.ports import free_port
from tests.service import Event, Service, create_topic, eventually, meanwhile, produce, serving

TOKEN = "a-token-of-the-tests"
PATIENCE = 60.0  # seconds
MakeEvent = Callable[[int], Event]


@dataclass
class Live:
    """One application behind one port, which may stop and start again."""

    servers: str
    topic: str
    folder: Path
    model: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._running = ExitStack()
        self.config = self.folder / "serve.toml"
        self.config.touch(0o600)  # it holds a secret
        self.config.write_text(f'[http]\nhttp = "127.0.0.1:{self.port}"\ntoken = "{TOKEN}"\n')

    @staticmethod
    def made(servers: str, folder: Path, model: Path, partitions: int) -> "Live":
        """With a topic of its own."""
        topic = f"live-{uuid.uuid4().hex[:8]}"
        create_topic(servers, topic, partitions)
        return Live(servers, topic, folder, model)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Service:
        service = self._running.enter_context(
            serving(
                self.folder / "serve.log", "--config", str(self.config), "--model", str(self.model),
                "--bootstrap-servers", self.servers, "--input-topic", self.topic, "--output-topic", f"{self.topic}.out",
                "--application-id", self.topic, "--instance-id", "one", "--session-timeout", "6", "--on-stop", "leave",
            )
        )  # fmt: skip
        eventually("it listens", lambda: _listens(self.port) or service.process.poll() is not None, PATIENCE)
        assert service.process.poll() is None, service.log.read_text()
        return service

    def stop(self) -> None:
        self._running.close()

    def produce(self, *events: Event) -> None:
        produce(self.servers, self.topic, events)

    @contextmanager
    def fed(self, event: MakeEvent, pause: float = 0.05) -> Iterator[None]:
        """event(0), event(1) and so on arrive meanwhile. pause: seconds between two."""
        numbers = count()

        def send() -> None:
            key, value = event(next(numbers))
            producer.send(self.topic, key=key, value=value)

        with closing(KafkaProducer(bootstrap_servers=self.servers)) as producer, meanwhile(send, pause):
            yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def waves(number: int) -> Event:
    """The number-th event of twenty-four sensors in turn."""
    sensor, step = number % 24, number // 24
    value = 20 + sensor + 5 * math.sin(step / 4 + sensor)
    return b"sensor-%02d" % sensor, json.dumps({"value": round(value, 3)}).encode()


class Seen:
    """A page, and what it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request))

    def _heard(self, said: ConsoleMessage) -> None:
        busy = "status of 503" in said.text  # the service says to ask again, and the page does
        if said.type in ("error", "warning") and not busy:
            self.complaints.append(said.text)

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        """As `eventually`, while the page goes on."""
        deadline = time.monotonic() + PATIENCE
        while not (result := condition()):
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
            self.page.wait_for_timeout(100)
        return result

    def fact(self, name: str) -> str:
        """What the picked stream's facts say under this name."""
        box = self.page.locator("#facts > div", has=self.page.get_by_text(name, exact=True))
        return box.locator("dd").inner_text()

    def painted(self, chart: str, colour: str) -> int:
        """Pixels of a chart's canvas that have this colour, "red green blue", or nearly so."""
        found = self.page.locator(f"{chart} canvas").evaluate(COUNT, [int(part) for part in colour.split()])
        assert isinstance(found, int)
        return found

    def pick(self, key: str) -> None:
        self.page.goto(f"{self.page.url.partition('#')[0]}#stream={key}")
        expect(self.page.locator("#picked-title")).to_have_text(key)


COUNT = """(canvas, colour) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 100 && colour.every((part, k) => Math.abs(part - data[i + k]) < 12)) found++;
  return found;
}"""


@contextmanager
def looking(browser: Browser, live: Live, token: str | None = TOKEN, **context: Any) -> Iterator[Seen]:
    """The page, in a session of its own that has this token already; None: none."""
    with browser.new_context(**context) as session:
        session.set_default_timeout(PATIENCE * 1000)
        if token is not None:
            session.add_init_script(f"sessionStorage.setItem('statecast-token', '{token}')")
        seen = Seen(session.new_page())
        seen.page.goto(live.address)
        yield seen
