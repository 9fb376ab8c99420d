"""What makes a set of options senseless. Looks at nothing but the options."""

from dataclasses import fields
from math import isfinite
from typing import get_args

from engine.rows import Policy
from loadtest.draws import Draw
from loadtest.errors import UsageError
from loadtest.findings import Delivery
from loadtest.options import LoadOptions
from loadtest.pace import HIGHEST_DAY, Pace
from loadtest.port import ClientName

CHOICES = {"keys": Draw, "pace": Pace, "delivery": Delivery, "client": ClientName, "poison_policy": Policy}
MOST = {
    "streams": 4_000_000_000,  # their numbers have 32 bits
    "rate": 1_000_000_000,
    "seconds": 1_000_000_000,
    "events": 10**15,
}
MOST_ZIPF = 100_000_000  # each has its share in a table
LEAST_RATE = 0.001
SPEEDS = (1e-6, 1e9)
HIGHEST_BURST = 1000.0


def check(options: LoadOptions) -> None:
    """Raises UsageError that names the option, the value seen and the mend."""
    for name in ("input_topic", *(() if options.preload else ("output_topic",))):
        if not getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')}: is missing; give the name of a topic")
    least = {"partitions": 1, "streams": 1, "batch": 1, "max_key_bytes": 1, "max_value_bytes": 1, "examples": 0}
    least |= {
        "processes": 1,
        "seed": 0,
        "noise": 0,
        "zipf_exponent": 0,
        "events": 0,
        "seconds": 0,
        "rate": 0,
        "timeout": 0,
        "linger": 0,
    }
    for name, limit in least.items():
        value = getattr(options, name)
        if value is not None and not limit <= value < float("inf"):
            raise UsageError(f"{_flag(name)} {value}: must be a number, at least {limit}")
    for name, most in MOST.items():
        value = getattr(options, name)
        if value is not None and value > most:
            raise UsageError(f"{_flag(name)} {value:g}: must be at most {most:,}")
    _check_service(options)
    if options.state_ttl is not None and not (options.state_ttl > 0 and isfinite(options.state_ttl)):
        raise UsageError(f"--state-ttl {options.state_ttl}: must be seconds, more than 0; leave it out for ever")
    _check_load(options)
    _check_pace(options)
    _check_ramp(options)
    _check_file(options)
    if options.preload and (options.drain or options.verify):
        raise UsageError(f"--preload with --{'drain' if options.drain else 'verify'}: only offers; give one of them")
    if options.verify and options.model is None:
        raise UsageError("--verify: needs the model that the service runs; give --model FILE")


def _check_load(options: LoadOptions) -> None:
    for name, kind in CHOICES.items():
        value, allowed = getattr(options, name), get_args(kind)
        if value not in allowed:
            raise UsageError(f"{_flag(name)} {value}: must be {', '.join(allowed[:-1])} or {allowed[-1]}")
    for name in ("missing", "bad", "resets", "hot_share", "new_streams"):
        if not 0 <= getattr(options, name) <= 1:
            raise UsageError(f"{_flag(name)} {getattr(options, name)}: must be a share, 0 to 1")
    if options.bad + options.resets > 1:
        raise UsageError(f"--bad {options.bad} with --resets {options.resets}: are more than all events; give less")
    for name, keys in {"zipf_exponent": "zipf", "hot_share": "hot", "new_streams": "growing"}.items():
        if options.keys != keys and getattr(options, name) != _default(name):
            raise UsageError(f"{_flag(name)}: changes nothing with --keys {options.keys}; give --keys {keys} too")
    if options.keys == "zipf" and options.streams > MOST_ZIPF:
        raise UsageError(f"--streams {options.streams}: must be at most {MOST_ZIPF:,} with --keys zipf")
    if 0 < options.rate < LEAST_RATE:
        raise UsageError(f"--rate {options.rate:g}: must be at least {LEAST_RATE}, or 0 for as fast as they go")


def _check_pace(options: LoadOptions) -> None:
    paced = options.pace != "steady"
    if paced and not (options.rate or options.ramp):
        raise UsageError(f"--pace {options.pace}: bends a rate, and there is none; give --rate EVENTS_PER_SECOND")
    for name in ("period", "peak"):
        value = getattr(options, name)
        if value is not None and not paced:
            raise UsageError(f"--{name} {value}: changes nothing at a steady pace; give --pace bursty or day")
    if options.period is not None and not 0.1 <= options.period < float("inf"):
        raise UsageError(f"--period {options.period}: must be seconds, at least 0.1")
    highest = HIGHEST_DAY if options.pace == "day" else HIGHEST_BURST
    if options.peak is not None and not 1 <= options.peak <= highest:
        raise UsageError(f"--peak {options.peak}: must be 1 to {highest:g} with --pace {options.pace}")


def _check_ramp(options: LoadOptions) -> None:
    if options.p99_below is not None and not 0 < options.p99_below < float("inf"):
        raise UsageError(f"--p99-below {options.p99_below}: must be seconds, more than 0")
    if options.p99_below is not None and not options.ramp:
        raise UsageError("--p99-below: is the limit of a ramp; give --ramp too")
    if not options.ramp:
        return
    if options.p99_below is None:
        raise UsageError("--ramp: knows no limit; give --p99-below SECONDS")
    if options.seconds is not None and options.seconds <= 0:
        raise UsageError(f"--seconds {options.seconds}: of a step of a ramp, must be more than 0")
    others = {
        "preload": "--preload",
        "drain": "--drain",
        "events": "--events",
        "file": "--file",
        "kill_every": "--kill-every",
    }
    for name, flag in others.items():
        if getattr(options, name) not in (None, False):
            raise UsageError(
                f"--ramp with {flag}: tries rates on a healthy service, as long as it takes; leave one out"
            )


def _check_file(options: LoadOptions) -> None:
    if options.file is not None and not options.value:
        raise UsageError(f"--file {options.file}: tells no values; give --value COLUMN")
    for name in ("key", "value", "time", "speed"):
        if getattr(options, name) and options.file is None:
            raise UsageError(f"--{name}: is for the rows of a file; give --file FILE too")
    if options.file is not None and options.keys != "uniform":
        raise UsageError(f"--keys {options.keys} with --file: the file tells the streams; leave one out")
    if options.speed is None:
        return
    if not SPEEDS[0] <= options.speed <= SPEEDS[1]:
        raise UsageError(f"--speed {options.speed:g}: must be {SPEEDS[0]:g} to {SPEEDS[1]:g}; 1 is real time")
    if options.time is None:
        raise UsageError("--speed: runs the file's own time, and no column tells it; give --time COLUMN")
    if options.rate:
        raise UsageError(f"--speed with --rate {options.rate:g}: both tell when events are due; leave one out")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _default(name: str) -> object:
    return next(field.default for field in fields(LoadOptions) if field.name == name)


def _check_service(options: LoadOptions) -> None:
    if not (options.watch_interval >= 0.1 and isfinite(options.watch_interval)):
        raise UsageError(f"--watch-interval {options.watch_interval}: must be seconds, at least 0.1")
    if options.kill_every is not None and not (options.kill_every >= 0.5 and isfinite(options.kill_every)):
        raise UsageError(f"--kill-every {options.kill_every}: must be seconds, at least 0.5")
    for name in ("kill_every", "serve_ready"):
        if getattr(options, name) is not None and options.serve is None:
            raise UsageError(f"--{name.replace('_', '-')}: knows no service; give its command line with --serve")
    if options.serve is not None and options.preload:
        raise UsageError("--serve with --preload: only offers, and needs no service; give one of them")
    if options.serve_ready is not None and not options.serve_ready.startswith(("http://", "https://")):
        raise UsageError(f"--serve-ready {options.serve_ready}: is no URL; give http://HOST:PORT/readyz")
