"""What kafka-python 3.0 gets wrong about membership in a group and about fenced producers, and how it is put right.

The one place that reaches into the library's private parts; tests/contract holds each guard to its purpose.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import kafka.errors as kafka_errors
from kafka.consumer.subscription_state import TopicPartitionState
from kafka.future import Future


def refresh_metadata(consumer: Any, timeout: float) -> None:
    """Learn the subscribed topic's partitions before the group is joined. Else the library finds them "changed" by its
    first join, and joins once more at once, which every member must answer."""
    try:
        consumer._net.run(consumer._manager.wait_for, consumer._cluster.request_update(), int(timeout * 1000))
    except kafka_errors.KafkaError:
        return  # it will be known later, at the price of the second join


class _Kept(Future):  # type: ignore[misc]
    """A join that has ended and counts as under way until somebody waits for it."""

    def __init__(self, assignment: Any) -> None:
        super().__init__()
        self._assignment = assignment

    def add_callback(self, f: Any, *args: Any, **kwargs: Any) -> Any:
        super().add_callback(f, *args, **kwargs)
        if not self.is_done:
            self.success(self._assignment)
        return self


def keep_finished_join(consumer: Any) -> None:
    """To be called before each poll. A join that ended between two polls is thrown away by the library, which sends
    another: with short polls a group may rebalance for ever."""
    coordinator = consumer._coordinator
    task = coordinator._join_task
    if task is not None and task.succeeded() and coordinator.rejoining:
        coordinator._join_task = _Kept(task.value)


def join_again(consumer: Any) -> None:
    """Ask for a rebalance: the library has no call for it. What stays here goes on being consumed."""
    consumer._coordinator.request_rejoin()


def is_fenced(consumer: Any) -> bool:
    """Whether another process has taken this static member's place.

    The library notes that in its heartbeat task, stops heartbeats, and tells nobody: poll would go on delivering.
    Stable without heartbeats, and not about to join again, is the mark it leaves.
    """
    coordinator = consumer._coordinator
    return bool(coordinator.stable() and not coordinator._heartbeat_enabled and not coordinator.rejoining)


def member_id(consumer: Any) -> str:
    """Under which the group knows this member; another one after it was thrown out."""
    return str(consumer._coordinator._generation.member_id)


def never_bump(producer: Any) -> None:
    """A transactional producer whose epoch is over fails for good. The library would ask for a newer epoch behind its
    caller's back (KIP-360), say nothing of it meanwhile, and may so fence the process that fenced it."""
    producer._transaction_manager._supports_epoch_bump = lambda: False


def forget_fetched_offsets(consumer: Any) -> None:
    """On the library's IO thread only: drop the answers to earlier questions for committed offsets.

    It keeps the answer to a question whose asker had run out of time, and gives it to the next asker, however much was
    committed in between.
    """
    consumer._coordinator._offset_fetch_futures.clear()


def committed(consumer: Any, partitions: Sequence[Any], timeout: float) -> dict[Any, int]:
    """Committed offsets, of those partitions that have one, with one request; the library's own asks one by one."""
    found = consumer._coordinator.fetch_committed_offsets(partitions, timeout_ms=max(1, int(timeout * 1000)))
    return {partition: int(known.offset) for partition, known in found.items() if known.offset >= 0}


def start_over(consumer: Any, partitions: Iterable[Any]) -> None:
    """Make assigned partitions as good as new: paused, at the committed offset."""
    for partition in partitions:
        state = TopicPartitionState()
        state.pause()
        consumer._subscription.assignment[partition] = state


def position(consumer: Any, partition: Any) -> int | None:
    """The library's own position() would ask the brokers where it does not know."""
    state = consumer._subscription.assignment.get(partition)
    return None if state is None or state.position is None else int(state.position.offset)


def out_of_range(consumer: Any, error: BaseException) -> tuple[int, int] | None:
    """(partition, offset) where poll raised because a position lies outside of what its partition holds."""
    if isinstance(error, kafka_errors.OffsetOutOfRangeError):
        ((partition, offset),) = error.args[0].items()
        return partition.partition, offset
    if isinstance(error, kafka_errors.LogTruncationError):  # the broker's log has another history (KIP-320)
        partition = min(error.divergent_offsets)
        return partition.partition, position(consumer, partition) or 0
    return None
