"""A real Kafka behind locked doors: TLS, client certificates, SASL, and rights that have to be given."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from localbroker import ports
from localbroker.broker import LocalBroker
from tests.secure.authorities import Authority, together
from tests.service import create_topic, eventually

HOST = "127.0.0.1"
ALICE, BOB = "alice", "bob"  # alice may do everything, bob what he is given
PASSWORDS = {ALICE: "open-sesame-7451", BOB: "builders-tea-9983"}
KEY_PASSWORD = "key-to-the-key-6127"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DOORS = {"TLS": "SSL", "MUTUAL": "SSL", "ELSEWHERE": "SSL", "LOGIN": "SASL_SSL", "OPEN": "SASL_PLAINTEXT"}
LOGIN_MODULE = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Right:
    """One entry of an access control list."""

    kind: ResourceType
    name: str
    operation: ACLOperation
    prefixed: bool = False

    def __str__(self) -> str:
        return f"{self.operation.name} on {self.kind.name} {self.name}{'*' if self.prefixed else ''}"

    @property
    def acl(self) -> Any:
        resource = ResourcePattern(self.kind, self.name, self._pattern)
        return ACL(f"User:{BOB}", "*", self.operation, ACLPermissionType.ALLOW, resource)

    @property
    def filter(self) -> Any:
        resource = ResourcePatternFilter(self.kind, self.name, self._pattern)
        return ACLFilter(f"User:{BOB}", "*", self.operation, ACLPermissionType.ALLOW, resource)

    @property
    def _pattern(self) -> ACLResourcePatternType:
        return ACLResourcePatternType.PREFIXED if self.prefixed else ACLResourcePatternType.LITERAL


class Fortress:
    """The broker, and everything that is needed to get in, or nearly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder, "authority")
        self.stranger = Authority(folder, "stranger")
        self.client = self.authority.issue(ALICE)
        self.locked_client = self.authority.issue(f"{ALICE}-locked", password=KEY_PASSWORD.encode())
        self.foreign_client = self.stranger.issue(ALICE)
        self._given: set[Right] = set()
        self._ports: dict[str, int] = {}
        while len(self._ports) < len(DOORS) + 2:
            port = ports.free_port()
            if port not in self._ports.values():
                self._ports[["PLAINTEXT", "CONTROLLER", *DOORS][len(self._ports)]] = port
        self.broker = LocalBroker(port=self._ports["PLAINTEXT"], properties=self._properties())

    def _properties(self) -> dict[str, str]:
        here = together(self.folder, *self.authority.issue("broker", HOST))
        elsewhere = together(self.folder, *self.authority.issue("other-broker", "elsewhere.example"))
        addresses = ",".join(f"{name}://{HOST}:{port}" for name, port in self._ports.items())
        doors = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **DOORS}
        users = " ".join(f'user_{name}="{password}"' for name, password in PASSWORDS.items())
        found = {
            "listeners": addresses,
            "advertised.listeners": addresses,
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in doors.items()),
            "controller.quorum.bootstrap.servers": f"{HOST}:{self._ports['CONTROLLER']}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(here),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.pem),
            "ssl.principal.mapping.rules": "RULE:^CN=([a-z]+).*$/$1/,DEFAULT",
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.elsewhere.ssl.keystore.type": "PEM",
            "listener.name.elsewhere.ssl.keystore.location": str(elsewhere),
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:ANONYMOUS;User:{ALICE}",  # the tests' own, and who comes in by TLS without a name
        }
        for door in ("login", "open"):
            name = f"listener.name.{door}"
            found[f"{name}.plain.sasl.jaas.config"] = f"{LOGIN_MODULE}.plain.PlainLoginModule required {users};"
            for strength in ("256", "512"):
                found[f"{name}.scram-sha-{strength}.sasl.jaas.config"] = (
                    f"{LOGIN_MODULE}.scram.ScramLoginModule required;"
                )
        return found

    def start(self) -> None:
        self.broker.start()
        wanted = [
            UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password.encode())
            for user, password in PASSWORDS.items()
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        admin = AdminClient({"bootstrap.servers": self.servers})  # kafka-python's are not what the broker takes
        for one in wanted:  # the broker takes one change of a user at a time
            for made in admin.alter_user_scram_credentials([one]).values():
                made.result(30)

    @property
    def servers(self) -> str:
        """For those who test."""
        return self.broker.bootstrap_servers

    def door(self, name: str) -> str:
        """HOST:PORT of one of DOORS, or of the tests' own, PLAINTEXT."""
        return f"{HOST}:{self._ports[name]}"

    @contextmanager
    def admin(self) -> Iterator[Any]:
        with closing(KafkaAdminClient(bootstrap_servers=self.servers)) as admin:
            yield admin

    def topic(self, beginning: str = "in") -> str:
        name = f"{beginning}-{uuid.uuid4().hex[:8]}"
        create_topic(self.servers, name)
        return name

    def add_partitions(self, topic: str, partitions: int) -> None:
        with self.admin() as admin:
            admin.create_partitions({topic: partitions})

    def give(self, rights: Iterable[Right]) -> None:
        """Bob has these from now on, and no other. What he has already he never lacks meanwhile."""
        wanted = set(rights)
        with self.admin() as admin:
            admin.create_acls([right.acl for right in wanted - self._given])
            if self._given - wanted:
                admin.delete_acls([right.filter for right in self._given - wanted])
            # Orders go to the controller; the broker that asks for rights hears of them a moment later.
            everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
            of_bob = ACLFilter(f"User:{BOB}", None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
            names = {str(right) for right in wanted}
            eventually("the rights are in force", lambda: {*map(_name, admin.describe_acls(of_bob)[0])} == names)
        self._given = wanted


def _name(acl: Any) -> str:
    pattern = acl.resource_pattern
    prefixed = pattern.pattern_type == ACLResourcePatternType.PREFIXED
    return str(Right(pattern.resource_type, pattern.resource_name, acl.operation, prefixed))
