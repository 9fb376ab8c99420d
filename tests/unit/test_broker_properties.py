"""Client properties: librdkafka's names from the user, kafka-python's for kafka-python."""

from pathlib import Path

import pytest

from stream.broker.properties import RESERVED, TABLE, for_confluent, for_kafka_python
from stream.errors import UsageError

LOGIN = {
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": "alice",
    "sasl.password": "secret",
}


def test_a_login_in_kafka_pythons_names() -> None:
    assert for_kafka_python(LOGIN, "consumer", strict=True) == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "alice",
        "sasl_plain_password": "secret",
    }


def test_confluent_takes_them_in_one_spelling() -> None:
    wanted = {**LOGIN, "security.protocol": "SASL_SSL", "fetch.min.bytes": "1000"}
    assert for_confluent({**LOGIN, "fetch.min.bytes": "1000"}) == wanted


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_what_the_service_stands_on_is_not_the_users(name: str) -> None:
    with pytest.raises(UsageError, match=f"client property {name}: statecast sets it itself"):
        for_confluent({name: "x"})
    with pytest.raises(UsageError, match=name):
        for_kafka_python({name: "x"}, "producer", strict=False)


def test_each_client_gets_only_what_it_has() -> None:
    properties = {"compression.type": "lz4", "client.rack": "eu-1", "linger.ms": "7"}
    assert for_kafka_python(properties, "producer", strict=True) == {"compression_type": "lz4", "linger_ms": 7}
    assert for_kafka_python(properties, "consumer", strict=True) == {"client_rack": "eu-1"}
    assert for_kafka_python(properties, "admin", strict=True) == {}
    assert for_kafka_python({"compression.type": "none"}, "producer", strict=True) == {"compression_type": None}


def test_an_unknown_property_is_named_with_those_that_are_known() -> None:
    with pytest.raises(
        UsageError, match=r"client property fetch\.min\.bytes: kafka-python has no such setting"
    ) as error:
        for_kafka_python({"fetch.min.bytes": "1"}, "consumer", strict=True)
    assert all(name in str(error.value) for name in TABLE)


def test_where_only_the_admin_calls_are_kafka_pythons_tuning_is_forgiven_and_security_is_not() -> None:
    assert for_kafka_python({"fetch.min.bytes": "1"}, "admin", strict=False) == {}
    with pytest.raises(UsageError, match=r"ssl\.keystore\.location"):
        for_kafka_python({"ssl.keystore.location": "store.p12"}, "admin", strict=False)


def test_a_number_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"client property linger\.ms: 'soon' is not a number"):
        for_kafka_python({"linger.ms": "soon"}, "producer", strict=True)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    there.write_text("")
    assert for_kafka_python({"ssl.ca.location": str(there)}, "admin", strict=True) == {"ssl_cafile": str(there)}
    for read in (for_confluent, lambda properties: for_kafka_python(properties, "admin", strict=True)):
        with pytest.raises(UsageError, match=r"client property ssl\.ca\.location: no file .*missing"):
            read({"ssl.ca.location": str(tmp_path / "missing")})


def test_a_host_name_is_checked_unless_told_otherwise() -> None:
    name = "ssl.endpoint.identification.algorithm"
    assert for_kafka_python({name: "https"}, "admin", strict=True) == {"ssl_check_hostname": True}
    assert for_kafka_python({name: "none"}, "admin", strict=True) == {"ssl_check_hostname": False}
