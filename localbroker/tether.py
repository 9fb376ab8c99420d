"""Becomes the command it is given, tied to its parent's life. A script by itself: `tether.py PARENT COMMAND...`.

It stands between fork and exec because Python code in the forked child of a process with threads (preexec_fn) can
deadlock: a program of its own has no locks to inherit. It knows nothing of Kafka.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _tie(parent: int) -> None:
    """Have the kernel SIGKILL this process when its parent is gone, even by kill -9 (prctl(2); it survives exec).

    Linux alone has this. Elsewhere the owner's exit handler is all there is, and kill -9 goes around that.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the line above: that death sends no signal any more
        sys.exit("the parent is gone")


if __name__ == "__main__":
    _tie(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
