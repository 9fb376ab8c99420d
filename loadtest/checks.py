"""What makes a set of options senseless. Looks at nothing but the options."""

from math import isfinite

from loadtest.errors import UsageError
from loadtest.options import LoadOptions


def check(options: LoadOptions) -> None:
    """Raises UsageError that names the option, the value seen and the mend."""
    for name in ("input_topic", *(() if options.preload else ("output_topic",))):
        if not getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')}: is missing; give the name of a topic")
    least = {"partitions": 1, "streams": 1, "batch": 1, "max_key_bytes": 1, "max_value_bytes": 1, "examples": 0}
    least |= {"noise": 0, "missing": 0, "zipf_exponent": 0, "events": 0, "seconds": 0, "rate": 0, "timeout": 0}
    for name, limit in least.items():
        value = getattr(options, name)
        if value is not None and not value >= limit:
            raise UsageError(f"--{name.replace('_', '-')} {value}: must be at least {limit}")
    _check_service(options)
    if options.state_ttl is not None and not (options.state_ttl > 0 and isfinite(options.state_ttl)):
        raise UsageError(f"--state-ttl {options.state_ttl}: must be seconds, more than 0; leave it out for ever")
    if options.missing > 1:
        raise UsageError(f"--missing {options.missing}: must be a share, 0 to 1")
    for name, allowed in {"keys": ("uniform", "zipf"), "delivery": ("exactly_once", "at_least_once")}.items():
        if getattr(options, name) not in allowed:
            raise UsageError(f"--{name} {getattr(options, name)}: must be {' or '.join(allowed)}")
    if options.preload and (options.drain or options.verify):
        raise UsageError(f"--preload with --{'drain' if options.drain else 'verify'}: only offers; give one of them")
    if options.verify and options.model is None:
        raise UsageError("--verify: needs the model that the service runs; give --model FILE")
    if options.csv is not None and not options.value:
        raise UsageError(f"--csv {options.csv}: tells no values; give --value COLUMN")
    for name in ("key", "value", "time"):
        if getattr(options, name) and options.csv is None:
            raise UsageError(f"--{name}: names a column of a CSV; give --csv FILE too")


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
