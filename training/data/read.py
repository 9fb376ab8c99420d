"""The one entry for training: what the options say of the data decides who reads it. Knows every reader by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.data.columns import Wanted
from training.data.dialect import dialect
from training.data.events import Events, repeated
from training.data.long import read_long
from training.data.sequences import Layout, read_sequences
from training.data.wide import read_wide
from training.errors import DataError

if TYPE_CHECKING:
    from training.options import TrainOptions

VALUE = ("value",)


def read(data: Sequence[Path | str], options: "TrainOptions") -> Events:
    """All events that the options name, in time order.

    Raises DataError with file, line, column, the value seen and the mend, in one line.
    """
    _check(data, options)
    symbols = options.task == "symbol"
    written = dialect(options.delimiter, options.skip_lines)
    if options.topic is not None:
        from training.data.topic import read_topic

        events = read_topic(
            options.topic,
            options.bootstrap_servers,
            options.value or VALUE,
            options.label,
            symbols,
            options.start,
            options.end,
        )
    elif options.text is not None:
        from training.data.text import read_text

        events = read_text(data, options.text)
    elif options.sequences:
        layout = Layout(options.value, options.time, options.label, options.header, symbols)
        events = read_sequences(data, layout, written, options.labels)
    elif options.wide:
        events = read_wide(data, options.value, options.time, written, symbols)
    else:
        wanted = Wanted(options.value or VALUE, options.key, options.time, options.label, symbols)
        events = read_long(data, wanted, written)
    return repeated(events)


def _check(data: Sequence[Path | str], options: "TrainOptions") -> None:
    """Raise DataError where options of the data contradict each other."""
    forms = {
        "--wide": options.wide,
        "--sequences": options.sequences,
        "--text": options.text is not None,
        "--topic": options.topic is not None,
    }
    given = [name for name, there in forms.items() if there]
    if len(given) > 1:
        raise DataError(f"{given[0]} and {given[1]}: the data has one form; give one of them")
    form = given[0] if given else "a long table"
    if options.topic is not None and data:
        raise DataError(f"--topic {options.topic}: is read in place of files; leave out {data[0]}, or --topic")
    columns = {"--key": options.key, "--label": options.label, "--time": options.time}
    unknown = {
        "--wide": ("--key", "--label"),
        "--sequences": ("--key",),
        "--text": ("--key", "--label", "--time"),
        "--topic": ("--key", "--time"),
    }
    for name in unknown.get(form, ()):
        if columns[name] is not None:
            raise DataError(f"{name} {columns[name]}: means nothing with {form}; leave it out")
    if options.labels is not None and (not options.sequences or options.label is not None):
        other = f"--label {options.label}" if options.label is not None else form
        raise DataError(f"--labels {options.labels}: goes with --sequences alone, not with {other}; leave out one")
    if options.task == "symbol" and len(options.value) > 1 and not options.wide:
        raise DataError(f"--value {' '.join(options.value)}: the task 'symbol' has one column of symbols; give one")
