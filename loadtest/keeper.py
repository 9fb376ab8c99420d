"""Runs the command it is given, and ends with its parent, taking along all that the command has started.

A script by itself, `keeper.py COMMAND...`, in a process group of its own. Standard input is a pipe whose other end only
the parent holds: however the parent ends, kill -9 too, the pipe does as well. It knows nothing of the load test.
"""

import os
import signal
import subprocess
import sys
import threading

_children: list[subprocess.Popen[bytes]] = []


def _pass_on(_signal: int, _frame: object) -> None:
    for child in _children:
        child.terminate()


def _outlive_nobody() -> None:
    os.read(0, 1)  # nothing is ever written: this returns when the other end is closed
    os.killpg(0, signal.SIGKILL)


def _main(command: list[str]) -> int:
    signal.signal(signal.SIGTERM, _pass_on)  # a handler is not inherited by the command, as SIG_IGN would be
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    try:
        _children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
    except OSError as error:
        print(f"{command[0]}: cannot be run ({error.strerror})", flush=True)
        return 127
    code = _children[0].wait()
    return code if code >= 0 else 128 - code  # as shells tell of a signal


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
