"""The input topic read through kafka-python.

Rebalance listeners run on the library's IO thread, and only while the loop's thread waits inside `poll` or `close`.
There a blocking call of the consumer raises RuntimeError; pausing is fine.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import kafka.errors as kafka_errors
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from stream.broker import kafka_python_guards as guards
from stream.broker.admin import remove_member
from stream.broker.deadline import abandon
from stream.broker.gone import gone
from stream.broker.kafka_python_common import GroupOf, columns, connected, fault, require_topic, settings
from stream.broker.port import Identity, Listener, Records
from stream.errors import Refused, SlotTaken

_GROUP_REFUSED = (
    kafka_errors.InvalidSessionTimeoutError,
    kafka_errors.InconsistentGroupProtocolError,
    kafka_errors.GroupMaxSizeReachedError,
    kafka_errors.InvalidGroupIdError,
)


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Translates the library's listener into ours, and knows under which member id each partition came."""

    def __init__(self, consumer: Any, listener: Listener) -> None:
        self._consumer = consumer
        self._listener = listener
        self._owned: dict[Any, str] = {}
        self.raised: BaseException | None = None

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        if assigned:  # empty sets are common
            guards.forget_fetched_offsets(self._consumer)
            self._consumer.pause(*assigned)  # here: else this same poll delivers records
            self._owned.update(dict.fromkeys(assigned, guards.member_id(self._consumer)))
            self._tell(self._listener.assigned, assigned)

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._gone(self._listener.revoked, revoked)

    def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        self._gone(self._listener.lost, lost)

    def _gone(self, tell: Callable[[Sequence[int]], None], partitions: Iterable[Any]) -> None:
        known = [partition for partition in partitions if partition in self._owned]
        if known:
            self._tell(tell, known)
        for partition in known:
            del self._owned[partition]

    def lost_unnoticed(self) -> set[Any]:
        """Partitions that this member lost and got back without a word.

        A member that is thrown out while it joins learns so from the answer to its join, and joins again under a new
        id. Another may have worked on its partitions meanwhile, but the library sees none come or go, and stays where
        it was. They are told as lost, and assigned anew.
        """
        now = guards.member_id(self._consumer)
        if not now or all(then == now for then in self._owned.values()):
            return set()
        stale = {partition for partition, then in self._owned.items() if then != now}
        back = stale & set(self._consumer.assignment())
        self.on_partitions_lost(stale)
        guards.start_over(self._consumer, back)
        self.on_partitions_assigned(back)
        return stale

    def _tell(self, what: Callable[[Sequence[int]], None], partitions: Iterable[Any]) -> None:
        # The library would wrap the exception and go on rebalancing: poll raises it as it was.
        try:
            what(sorted(partition.partition for partition in partitions))
        except BaseException as raised:
            self.raised = self.raised or raised


class KafkaPythonSource:
    """One member of the group on kafka-python."""

    def __init__(
        self, identity: Identity, topic: str, *, session_timeout: float, timeout: float, ahead_bytes: int
    ) -> None:
        self._identity = identity
        self._topic = topic
        self._rebalance: _Rebalance | None = None
        conf = {
            "fetch_max_wait_ms": 100,  # a resumed partition waits for the fetch under way to end
            "fetch_max_bytes": min(32 << 20, ahead_bytes),
            "max_partition_fetch_bytes": min(1 << 20, ahead_bytes),
            "retry_backoff_ms": 50,  # also how long poll sleeps when all is paused
            "metrics_enabled": False,
            **settings(identity, "consumer"),
            "group_id": identity.group,
            "group_instance_id": identity.slot,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "allow_auto_create_topics": False,
            "partition_assignment_strategy": [CooperativeStickyAssignor],
            "session_timeout_ms": int(session_timeout * 1000),
            "heartbeat_interval_ms": max(100, min(500, int(session_timeout * 1000 / 3))),
        }
        self._consumer: Any = connected(KafkaConsumer, conf, identity.bootstrap_servers, timeout)
        try:
            require_topic(self._consumer, topic, timeout)
        except BaseException:
            abandon(self._consumer.close, "consumer")
            raise

    def subscribe(self, listener: Listener) -> None:
        self._rebalance = _Rebalance(self._consumer, listener)
        self._consumer.subscribe([self._topic], listener=self._rebalance)
        guards.refresh_metadata(self._consumer, 5.0)

    def poll(self, max_records: int, timeout: float) -> list[Records]:
        guards.keep_finished_join(self._consumer)
        try:
            polled = self._consumer.poll(int(timeout * 1000), max_records)
        except kafka_errors.FencedInstanceIdError:
            raise self._slot_taken() from None
        except _GROUP_REFUSED as error:
            raise Refused(f"cannot join the group {self._identity.group}: {type(error).__name__}") from None
        except kafka_errors.NoOffsetForPartitionError as error:
            self._consumer.seek_to_beginning(*error.args[0])
            polled = {}
        except kafka_errors.KafkaError as error:
            self._raise_what_the_listener_raised()
            beyond = guards.out_of_range(self._consumer, error)
            if beyond is not None:
                raise gone(self._topic, *beyond) from None
            raise fault(error, f"read topic {self._topic}") from None
        if guards.is_fenced(self._consumer):
            raise self._slot_taken()
        if self._rebalance is not None:
            for partition in self._rebalance.lost_unnoticed():
                polled.pop(partition, None)
        self._raise_what_the_listener_raised()
        return columns(polled)

    def _raise_what_the_listener_raised(self) -> None:
        if self._rebalance is not None and self._rebalance.raised is not None:
            raised, self._rebalance.raised = self._rebalance.raised, None
            raise raised

    def _slot_taken(self) -> SlotTaken:
        return SlotTaken(
            f"another process runs as {self._identity.slot}; stop it, or give this one another --instance-id"
        )

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self._topic, partition)

    def _here(self, partitions: Sequence[int]) -> list[Any]:
        # The library knows of no partition that has just gone; the listener tells of it.
        assigned = self._consumer.assignment()
        return [tp for tp in map(self._tp, partitions) if tp in assigned]

    def pause(self, partitions: Sequence[int]) -> None:
        self._consumer.pause(*self._here(partitions))

    def resume(self, partitions: Sequence[int]) -> None:
        self._consumer.resume(*self._here(partitions))

    def seek(self, partition: int, offset: int) -> None:
        if self._here([partition]):
            self._consumer.seek(self._tp(partition), offset)

    def position(self, partition: int) -> int | None:
        return guards.position(self._consumer, self._tp(partition))

    def join_again(self) -> None:
        guards.join_again(self._consumer)

    def group(self) -> object:
        return GroupOf(self._topic, self._consumer.group_metadata())

    def close(self, leave: bool) -> None:
        self._consumer.close(autocommit=False, timeout_ms=5000)
        if leave:
            remove_member(self._identity)
