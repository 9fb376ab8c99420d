"""A look at what `serve` stands on, on this machine: model, provider, client, memory, disk, clock, address."""

import ctypes
import os
import shutil
import socket
import sys
from collections.abc import Iterator

from engine.model import Network
from engine.step import Engine
from stream.broker.clients import choose, library, version
from stream.http.access import Access
from stream.ops.findings import Finding
from stream.settings import Settings, memory
from stream.state.files import check_usable

TIME_ERROR = 5  # adjtimex(2): the clock is not held by anything
SPACE = 2.0  # snapshots, the one before and the one being written, in sizes of the state


def of_model(model: Network) -> Iterator[Finding]:
    signature = model.signature
    said = f"fingerprint {model.fingerprint[:8]}, task {signature.task}, a row of {model.row_width * 4} bytes"
    yield Finding("model", "ok", said)
    if signature.parity is None:
        yield Finding(
            "model", "note", "was never held against PyTorch", "train or export it with statecast, where it matters"
        )
    yield Finding("provider", "ok", model.provider)


def of_client(settings: Settings) -> Iterator[Finding]:
    client = choose(settings.kafka.client)
    said = f"{library(client)} {version(client)}"
    if client.name == "confluent":
        yield Finding("client", "ok", said)
    else:
        mend = "pip install 'statecast[fast]' and --client auto: confluent-kafka takes a fifth of the processor time"
        yield Finding("client", "note", said, mend)


def of_processors(settings: Settings) -> Iterator[Finding]:
    processors, workers = len(os.sched_getaffinity(0)), settings.delivery.workers
    said = f"{processors} for {workers} worker{'s' * (workers > 1)}"
    if workers > processors:
        yield Finding("processors", "warning", said, "give --workers no more than there are processors")
    else:
        yield Finding("processors", "ok", said)


def of_memory(settings: Settings, model: Network) -> Iterator[Finding]:
    limit = int(settings.limits.memory_limit)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    total = memory()
    said = f"{_bytes(limit)} hold {Engine.capacity_for(model, limit):,} streams; there are {_bytes(total)}"
    if limit > total:
        yield Finding("memory", "fault", said, "lower --memory-limit")
    elif limit > there:
        mend = "lower --memory-limit, or see that the rest of the machine leaves room"
        yield Finding("memory", "note", f"{said}, {_bytes(there)} free now", mend)
    else:
        yield Finding("memory", "ok", said)


def of_disk(settings: Settings) -> Iterator[Finding]:
    place = settings.state.state_dir
    if place is None:
        mend = "--state-dir makes restarts read only what came after, and takes rows that memory has no room for"
        yield Finding("disk", "note", "no --state-dir", mend)
        return
    there = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    check_usable(there)  # a look makes no directories
    free = shutil.disk_usage(there).free
    wanted = SPACE * int(settings.limits.memory_limit)
    said = f"{place}: {_bytes(free)} free"
    if free < wanted:
        mend = f"{_bytes(wanted)} hold a full --memory-limit and its snapshots; free some, or use a larger disk"
        yield Finding("disk", "warning", said, mend)
    else:
        yield Finding("disk", "ok", said)


def of_clock() -> Iterator[Finding]:
    if sys.platform != "linux":
        yield Finding("clock", "note", "whether it is held right cannot be seen here", "run NTP")
        return
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # a struct timex of zeros only asks
    if state == TIME_ERROR:
        mend = "run chrony or another NTP client: latencies and dead letters' times are told by this clock"
        yield Finding("clock", "warning", "nothing holds it to the right time, as far as the kernel knows", mend)
    elif state < 0:
        yield Finding("clock", "note", "whether it is held right may not be asked here", "run NTP on the host")
    else:
        yield Finding("clock", "ok", "held to the right time")


def of_address(settings: Settings) -> Iterator[Finding]:
    if not settings.http.http:
        yield Finding("http", "note", "no --http", "--http 127.0.0.1:8080 serves health, metrics and the page")
        return
    bound = Access.of(settings.http).bound
    family = socket.AF_INET6 if ":" in bound.host else socket.AF_INET
    try:
        socket.create_server((bound.host, bound.port), family=family).close()
    except OSError as error:
        mend = "choose another address, unless it is this very service that has it"
        yield Finding("http", "warning", f"{settings.http.http}: {error.strerror}", mend)
        return
    yield Finding("http", "ok", settings.http.http)


def _bytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
