"""A table is read in pieces: what nobody asked for takes no memory, however large the file."""

import os
import subprocess
import sys
from pathlib import Path

from tests.service import ROOT

READER = """
import sys, threading, time
from training.data import read_events

def own():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) / 1024

def watch():
    while True:
        peaks.append(max(peaks.pop(), own()))
        time.sleep(0.005)

before = own()
peaks = [before]
threading.Thread(target=watch, daemon=True).start()
events = read_events([sys.argv[1]], None, ["v"])
print(len(events), peaks[0] - before)
"""


def test_a_file_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    rows = 2000 * (b"1," + b"x" * 4000 + b"\n")
    with path.open("wb") as file:
        file.write(b"v,note\n")
        for _ in range(65):
            file.write(rows)
    try:
        command = [sys.executable, "-c", READER, str(path)]
        environment = os.environ | {"POLARS_MAX_THREADS": "2"}  # each thread has pieces of its own
        run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, env=environment)
        found = run.stdout.split()
        size = path.stat().st_size / 2**20
    finally:
        path.unlink()
    assert int(found[0]) == 130_000
    assert float(found[1]) < 0.8 * size, f"{found[1]} MiB for a file of {size:.0f} MiB"
