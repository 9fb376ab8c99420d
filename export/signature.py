"""What a model file says of itself: the schema, how it is read from a file and written into one.

This is the one room of `export` that the engine may enter, so it knows onnx and msgspec but no torch and no
onnxruntime. Everything that serving needs beside the graph stands in the signature; nothing is guessed from names.
"""

import hashlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import onnx
from google.protobuf.message import DecodeError

from export import trust

FORMAT = 1
MOST_ROW = 1 << 22  # float32 columns; 16 MiB a stream
METADATA_KEY = "statecast"

Task = Literal["number", "symbol", "class"]
Scaling = Literal["fixed", "stream"]
Cell = Literal["lstm", "graves-lstm", "gru", "rnn"]
Head = Literal["quantile", "normal"]
Calendar = Literal["hour", "weekday", "year"]  # the day's, the week's and the year's cycle
Per = Literal["sequence", "event"]


class ModelFileError(Exception):
    """The file cannot be used as a statecast model; the message names the file, what was seen and the mend."""

    exit_code = 2


class StateTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One float32 tensor that is carried from step to step; the cold state is all zeros."""

    input: str
    output: str
    shape: tuple[int, ...]  # of one stream; the graph's tensors are [batch, *shape]

    @property
    def width(self) -> int:
        """float32 columns that this tensor takes in a row."""
        width = 1
        for size in self.shape:
            width *= size
        return width


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the weights were fitted on. Times are ISO 8601, empty where the data had none."""

    first: str = ""
    last: str = ""
    events: int = 0
    streams: int = 0


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything about a model that is not a weight.

    Inputs: `x` and `mask` float32 [time, batch, columns] (mask 1 where the value is there, 0 where it is missing; x is
    0 there), and each state tensor [batch, *shape]. The columns are the features; where `clock` is true, then the
    event's time: whole hours since 1970, and the milliseconds beyond them, both exact in float32.

    Outputs: each next state tensor [batch, *shape]; `surprise` float32 [time, batch, targets], -log10 of the
    probability of this event under the prediction made before it; and what is predicted of the stream's next event.
    Task `number`: `quantiles` float32 [time, batch, targets, levels], in the user's units, ascending along the last
    axis; surprise is of the two-sided tail.
    Task `symbol`: x is the index of the symbol in `symbols` (a float32, exact), and `probabilities` float32
    [time, batch, 1, symbols] are those of the next symbol.
    Task `class`: `probabilities` float32 [time, batch, 1, classes] are those of the stream's class after this event;
    surprise is 0.
    """

    format: int
    task: Task
    features: tuple[str, ...]
    targets: tuple[str, ...]  # the features that are predicted, in the order of the outputs' axis; of a class: its name
    state: tuple[StateTensor, ...]
    levels: tuple[float, ...] = ()  # task number: the probabilities of the quantiles, ascending, 0.5 among them
    cell: Cell
    hidden: int
    layers: int
    scaling: Scaling = "stream"
    lags: tuple[int, ...] = ()
    head: Head = "quantile"
    calendar: tuple[Calendar, ...] = ()
    since_last: bool = False
    symbols: tuple[str, ...] = ()  # task symbol; the first one, "", stands for all that are not here
    text: str = ""  # task symbol: what the symbols were cut from a text as: "characters", "bytes", "words", or nothing
    recall: int = 0  # task symbol: how many of its own last symbols a stream keeps in its row; 0: none
    classes: tuple[str, ...] = ()  # task class
    per: Per = "event"  # task class: what has a label
    training: Training = Training()
    metrics: dict[str, float] = {}  # scores on the test part, e.g. "mase", "coverage_90"
    parity: float | None = None  # max abs difference to the PyTorch module, in units of the stream's scale
    package: str = ""

    @property
    def clock(self) -> bool:
        """Whether x has the event's time after the features."""
        return bool(self.calendar) or self.since_last

    @property
    def columns(self) -> int:
        """Columns of x and mask."""
        return len(self.features) + (2 if self.clock else 0)

    @property
    def output(self) -> str:
        """The name of what is predicted."""
        return "quantiles" if self.task == "number" else "probabilities"

    @property
    def output_shape(self) -> tuple[int, int]:
        """Of one event's prediction."""
        if self.task == "number":
            return len(self.targets), len(self.levels)
        return 1, len(self.symbols or self.classes)

    @property
    def row_width(self) -> int:
        """float32 columns of one stream's row: all state tensors, flattened, in order."""
        return sum(tensor.width for tensor in self.state)


def fingerprint(model: onnx.ModelProto) -> str:
    """SHA-256, in hex, of the graph and its weights, with metadata and doc strings cleared.

    A new note in the metadata therefore keeps the fingerprint, and with it every stream's state.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    for field in ("doc_string", "producer_name", "producer_version", "domain"):
        bare.ClearField(field)
    bare.graph.ClearField("doc_string")
    for node in bare.graph.node:
        node.ClearField("doc_string")
    for value in (*bare.graph.input, *bare.graph.output, *bare.graph.value_info, *bare.graph.initializer):
        value.ClearField("doc_string")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def attach(model: onnx.ModelProto, signature: Signature) -> None:
    """Write the signature into the model's metadata, in place of an older one."""
    kept = [(p.key, p.value) for p in model.metadata_props if p.key != METADATA_KEY]
    del model.metadata_props[:]
    for key, value in (*kept, (METADATA_KEY, msgspec.json.encode(signature).decode())):
        model.metadata_props.add(key=key, value=value)


def load(path: Path | str) -> tuple[onnx.ModelProto, Signature]:
    """Read a model file and its signature.

    Raises ModelFileError where the file is missing, is not ONNX, has a graph that is not to be trusted, no signature,
    one of a newer format, or one that contradicts itself or the graph.
    """
    try:
        found = Path(path).stat()
        mode, size = found.st_mode, found.st_size
        if size > trust.MOST_BYTES or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would never end
            raise ModelFileError(f"model {path}: is no file of less than 2 GiB; give the path of a model.onnx")
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"model {path}: cannot be read ({error.strerror}); give the path of a model.onnx"
        ) from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        model.Clear()
    if not model.graph.node:
        raise ModelFileError(
            f"model {path}: is not an ONNX file; make one with `statecast train` or `statecast export`"
        )
    if wrong := trust.wrong(model):
        raise ModelFileError(
            f"model {path}: {wrong}; make it with `statecast train`, and take models only from whom you trust"
        )
    signature = _read(path, model)
    if wrong := next(_contradictions(model, signature), ""):
        raise ModelFileError(f"model {path}: its signature {wrong}; export it again")
    return model, signature


def _read(path: Path | str, model: onnx.ModelProto) -> Signature:
    texts = [p.value for p in model.metadata_props if p.key == METADATA_KEY]
    if not texts:
        raise ModelFileError(
            f"model {path}: is ONNX but has no statecast signature in its metadata; make it with `statecast export`"
        )
    try:
        version = msgspec.json.decode(texts[0], type=_Version).format
        if version > FORMAT:
            raise ModelFileError(
                f"model {path}: has signature format {version}, this statecast reads up to {FORMAT}; upgrade statecast"
            )
        signature = msgspec.json.decode(texts[0], type=Signature)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelFileError(f"model {path}: its signature cannot be read ({error}); export the model again") from None
    return signature


def _contradictions(model: onnx.ModelProto, signature: Signature) -> Iterator[str]:
    """What a signature says that cannot be, or that its graph does not bear out."""
    if any(size < 1 for tensor in signature.state for size in tensor.shape) or signature.row_width > MOST_ROW:
        yield f"has a state that is no row of 1 to {MOST_ROW} numbers"
    for what, names in _names(signature).items():
        if len(set(names)) < len(names):
            yield f"names one of its {what} twice"
    if not signature.features or not signature.targets:
        yield "has no features or no targets"
    if signature.task != "class" and not set(signature.targets) <= set(signature.features):
        yield "names unknown targets"
    levels = signature.levels
    if (0.5 not in levels) if signature.task == "number" else signature.output_shape[1] < 2:
        yield "lacks the median, the symbols or the classes"
    if not all(0 < level < 1 for level in levels) or list(levels) != sorted(set(levels)):
        yield "has levels that do not ascend from 0 to 1"
    batch, event = (None,), (None, None)
    columns = (*event, signature.columns)
    expected = {"x": columns, "mask": columns, **{t.input: (*batch, *t.shape) for t in signature.state}}
    yield from _told(expected, model.graph.input)
    expected = {t.output: (*batch, *t.shape) for t in signature.state}
    expected |= {signature.output: (*event, *signature.output_shape), "surprise": (*event, len(signature.targets))}
    yield from _told(expected, model.graph.output)


def _names(signature: Signature) -> dict[str, Sequence[object]]:
    """What must be told apart."""
    return {
        "features": signature.features,
        "targets": signature.targets,
        "symbols": signature.symbols,
        "classes": signature.classes,
        "lags": signature.lags,
        "states": ["x", "mask", *(tensor.input for tensor in signature.state)],
        "outputs": [signature.output, "surprise", *(tensor.output for tensor in signature.state)],
    }


def _told(expected: Mapping[str, tuple[int | None, ...]], values: Sequence[onnx.ValueInfoProto]) -> Iterator[str]:
    """Where a graph's inputs, or outputs, are others than expected. None: a size that must be open."""
    shapes = {value.name: trust.shape_of(value) for value in values}
    if missing := sorted(expected.keys() - shapes.keys()):
        yield f"names {', '.join(missing)}, which the graph lacks"
    if more := sorted(shapes.keys() - expected.keys()):
        yield f"does not name {', '.join(more)}, which the graph has"
    for name, shape in expected.items():
        if name in shapes and shapes[name] != shape:
            yield f"says that {name} is float32 {_shown(shape)}; in the graph it is {_shown(shapes[name])}"


def _shown(shape: tuple[int | None, ...] | None) -> str:
    return "of another kind" if shape is None else f"[{', '.join('*' if n is None else str(n) for n in shape)}]"


class _Version(msgspec.Struct):
    format: int
