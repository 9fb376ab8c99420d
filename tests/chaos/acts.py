"""What each fault does, step by step. An act yields where it waits, so that several go on at the same time."""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from localbroker.broker import LocalBroker
from tests.chaos.faults import Fault, Kind
from tests.chaos.instances import Instance

Act = Generator[None, None, None]  # each next() is a look at the clock and the processes
STOP_SECONDS = 45.0  # serve's --stop-timeout is 30
WORK_SECONDS = 30.0  # until an instance that was started has partitions


class Stage:
    """The broker, the instances, and who is busy with a fault."""

    def __init__(
        self,
        broker: LocalBroker,
        instances: list[Instance],
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        """clock: seconds; tell: hears of each fault."""
        self.broker, self.instances, self.clock = broker, instances, clock
        self.counts: dict[Kind, int] = {}
        self.troubles: list[str] = []
        self._tell = tell
        self._busy: set[int] = set()  # instances
        self._broker_busy = False
        self._boots = ThreadPoolExecutor(1, "boot")

    def act(self, fault: Fault) -> Act:
        """Do it, as soon as what it hits is free."""
        acts = {"kill": self._kill, "freeze": self._freeze, "leave": self._leave}
        if fault.kind == "broker":
            yield from self._kill_broker(fault)
        elif fault.kind == "roll":
            yield from self._roll(fault)
        else:
            while (slot := self._free(fault)) is None:
                yield
            with self._taken(slot):
                self._count(fault, self.instances[slot].name)
                yield from acts[fault.kind](self.instances[slot], fault.lasts)

    def idle(self, instance: Instance) -> bool:
        """Whether no act has to do with it."""
        return self.instances.index(instance) not in self._busy

    def close(self) -> None:
        """Wait for a start of the broker that is under way."""
        self._boots.shutdown()

    def _free(self, fault: Fault) -> int | None:
        return next((i for i in fault.order if i not in self._busy and self.instances[i].running), None)

    def _count(self, fault: Fault, whom: str) -> None:
        self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        lasts = "" if fault.kind == "roll" else f" for {fault.lasts:.1f} s"
        self._tell(f"{fault.at:4.0f} s: {fault.kind} {whom}{lasts}")

    @contextmanager
    def _taken(self, slot: int) -> Iterator[None]:
        self._busy.add(slot)
        try:
            yield
        finally:
            self._busy.discard(slot)

    def _wait(self, seconds: float) -> Act:
        until = self.clock() + seconds
        while self.clock() < until:
            yield

    def _until(self, condition: Callable[[], object], seconds: float) -> Generator[None, None, bool]:
        until = self.clock() + seconds
        while not condition():
            if self.clock() > until:
                return False
            yield
        return True

    def _kill(self, instance: Instance, lasts: float) -> Act:
        instance.kill()
        yield from self._wait(lasts)
        instance.start()

    def _freeze(self, instance: Instance, lasts: float) -> Act:
        instance.freeze()
        yield from self._wait(lasts)
        instance.thaw()

    def _leave(self, instance: Instance, lasts: float) -> Act:
        yield from self._stop(instance)
        yield from self._wait(lasts)
        instance.start()

    def _stop(self, instance: Instance) -> Act:
        instance.terminate()
        if not (yield from self._until(lambda: not instance.running, STOP_SECONDS)):
            self.troubles.append(f"{instance.name} did not end within {STOP_SECONDS:g} s of SIGTERM")
            instance.kill()

    def _roll(self, fault: Fault) -> Act:
        self._count(fault, "".join(self.instances[slot].name for slot in fault.order))
        for slot in fault.order:
            while slot in self._busy:
                yield
            instance = self.instances[slot]
            if not instance.running:
                continue
            with self._taken(slot):
                yield from self._stop(instance)
                instance.start()
                # Where it gets none, others have them all: no reason to wait longer.
                yield from self._until(
                    lambda started=instance: started.said("partitions_assigned") or not started.running,  # type: ignore[misc]
                    WORK_SECONDS,
                )

    def _kill_broker(self, fault: Fault) -> Act:
        while self._broker_busy:
            yield
        self._broker_busy = True
        self._count(fault, "")
        self.broker.kill()
        yield from self._wait(fault.lasts)
        boot = self._boots.submit(self.broker.restart)
        while not boot.done():
            yield
        boot.result()
        self._broker_busy = False


def play(stage: Stage, faults: list[Fault], turn: Callable[[], None], seconds: float) -> bool:
    """Let the faults happen at their times; whether all were over within so many seconds.

    turn: is called all the time.
    """
    began = stage.clock()
    waiting, going = list(faults), list[Act]()
    while waiting or going:
        now = stage.clock() - began
        if now > seconds:
            return False
        going += [stage.act(fault) for fault in waiting if fault.at <= now]
        waiting = [fault for fault in waiting if fault.at > now]
        going = [act for act in going if next(act, "over") != "over"]
        turn()
        time.sleep(0.02)
    return True
