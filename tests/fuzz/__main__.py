"""`make fuzz`: bytes from outside, led by coverage, into everything that reads them. Ends with 1 where anything but the
reader's own refusal comes out; what did it is then left in a file crash-*.

Targets: model (a model file), json and msgpack (a record's value), changelog (a row, or a marker).
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["export", "engine", "stream", "msgspec"]):
    import numpy as np

    from engine.rows import Rows
    from export import signature
    from export.config import Config
    from export.sample import random_model, sign
    from stream.broker.port import Records
    from stream.codec import Codec
    from stream.formats import find
    from stream.state import changelog

Target = Callable[[bytes], None]
WIDTH = 4  # of a row, float32 columns


def model(folder: Path) -> Target:
    path = folder / "model.onnx"
    random_model(path, hidden=2, scaling="stream", lags=(1, 2))
    (folder / "corpus" / "good").write_bytes(path.read_bytes())

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(signature.ModelFileError):
            signature.load(path)

    return run


def values(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        codec = Codec(
            find(name), sign(Config(features=("value",), targets=("value",), hidden=2)), "0" * 64,
            max_key_bytes=64, max_value_bytes=1000,
        )  # fmt: skip
        event = b'{"value": 1.5, "ts": 1700000000000}' if name == "json" else b"\x81\xa5value\xcb?\xf8\0\0\0\0\0\0"
        (folder / "corpus" / "good").write_bytes(event)

        def run(data: bytes) -> None:
            decoded = codec.decode([Records(0, [0, 1], [1, 2], [b"k", b"k"], [data, event])])
            told = decoded.columns.offset.tolist() + [r.offset for r in decoded.rejected]
            if sorted(told) != [0, 1] or not np.isfinite(decoded.columns.x).all():
                raise AssertionError(f"not every record is accounted for: {told}")

        return run

    return make


def rows(folder: Path) -> Target:
    kept = Rows([b"k"], *(np.zeros(1, np.int64) for _ in range(4)), np.zeros((1, WIDTH), np.float32))
    (folder / "corpus" / "row").write_bytes(b"\0" + changelog.row_values(kept)[0])
    (folder / "corpus" / "marker").write_bytes(b'\x01{"format": 1}')
    keys = (*changelog.row_keys([b"k"]), changelog.MARKER, b"k", None)

    def run(data: bytes) -> None:
        key = keys[data[0] % len(keys)] if data else None
        with contextlib.suppress(changelog.Foreign):
            changelog.read([key], [data[1:] or None], WIDTH)

    return run


TARGETS: dict[str, Callable[[Path], Target]] = {
    "model": model, "json": values("json"), "msgpack": values("msgpack"), "changelog": rows,
}  # fmt: skip


def every(seconds: int) -> int:
    """Each target in a process of its own, because the fuzzer ends the one it runs in."""
    codes = {}
    for name in TARGETS:
        command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--seconds", str(seconds)]
        codes[name] = subprocess.run(command, check=False).returncode
    for name, code in codes.items():
        print(f"{name:<10} {'found something' if code else 'nothing found'}")
    return int(any(codes.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    if given.target is None:
        return every(given.seconds)
    folder = Path(tempfile.mkdtemp(prefix="statecast-fuzz-"))
    (folder / "corpus").mkdir()
    try:
        limits = [
            f"-max_total_time={given.seconds}",
            "-max_len=20000",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-verbosity=0",
        ]
        atheris.Setup(
            [sys.argv[0], *limits, "-print_final_stats=1", str(folder / "corpus")], TARGETS[given.target](folder)
        )
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
