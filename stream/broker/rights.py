"""What this login may do, and how the cluster looks: questions that only a look at everything asks."""

from dataclasses import dataclass

from stream.broker.admin import Admin
from stream.broker.kafka_python_common import Clock


@dataclass(frozen=True)
class Cluster:
    """brokers: how many are up. group_protocol: whether it has KIP-848."""

    brokers: int
    group_protocol: bool
    rights: frozenset[str]


class Rights(Admin):
    """Rights are the names of Kafka's operations: READ, WRITE, CREATE, DESCRIBE, ... Raises as `Admin`."""

    def cluster(self) -> Cluster:
        clock = Clock(self._timeout)
        found = self._ask("describe the cluster", self._admin.describe_cluster, clock)
        features = self._ask("read the cluster's features", self._admin.describe_features, clock)
        return Cluster(
            sum(not broker.get("is_fenced") for broker in found["brokers"]),
            features.get("group.version", {}).get("finalized", (0, 0))[1] >= 1,
            frozenset(found.get("authorized_operations") or ()),
        )

    def offline(self, name: str) -> list[int]:
        """Partitions of a topic that have no leader, or fewer replicas in sync than they should."""
        doing = f"describe topic {name}"
        (found,) = self._ask(doing, lambda: self._admin.describe_topics([name]), Clock(self._timeout))
        parts = found["partitions"]
        short = [p for p in parts if p["leader_id"] < 0 or len(p["isr_nodes"]) < len(p["replica_nodes"])]
        return sorted(int(p["partition_index"]) for p in short)
