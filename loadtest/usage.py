"""What processes cost: CPU seconds and memory of the given ones and all their children, over their restarts."""

from collections.abc import Callable, Iterable

import psutil

Key = tuple[int, float]  # pid and birth: a pid is given again


class Usage:
    """CPU that is used from the first reading on; what was alive before it starts at nought."""

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        """roots: the processes to look at now; each reading asks again."""
        self._roots = roots
        self._before: dict[Key, float] | None = None
        self._used: dict[Key, float] = {}
        self._gone: float | None = None  # of processes that have ended

    def read(self) -> tuple[float | None, int | None]:
        """(CPU seconds so far, None before any process was there; bytes of resident memory, None while none is)."""
        cpu: dict[Key, float] = {}
        memory = 0
        for process in self._alive():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    cpu[process.pid, process.create_time()] = times.user + times.system
                    memory += process.memory_info().rss
            except psutil.Error:
                continue
        if self._before is None:
            self._before = dict(cpu)
        for key in self._used.keys() - cpu.keys():
            self._gone = (self._gone or 0.0) + self._used.pop(key)
        self._used |= {key: used - self._before.get(key, 0.0) for key, used in cpu.items()}
        if not cpu:
            return self._gone, None
        return (self._gone or 0.0) + sum(self._used.values()), memory

    def _alive(self) -> Iterable[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for pid in self._roots():
            try:
                root = psutil.Process(pid)
                found |= {process.pid: process for process in (root, *root.children(recursive=True))}
            except psutil.Error:
                continue
        return found.values()


def children(pid: int) -> list[int]:
    """The processes that a process has started itself."""
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def alive(pid: int) -> bool:
    """Whether there is such a process that can be looked at."""
    try:
        psutil.Process(pid).cpu_times()
    except (psutil.Error, OverflowError, ValueError):
        return False
    return True
