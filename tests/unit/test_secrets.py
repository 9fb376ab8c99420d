"""Where secrets come from, and that what is wrong is told without them."""

import pickle
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream import secrets
from stream.broker.port import Identity
from stream.configuration import load, options
from stream.errors import UsageError
from stream.security import client_properties
from stream.settings import Settings
from stream.supervisor import tasks
from tests.service import command

NAME = "STATECAST_KAFKA__SASL_PASSWORD"
SECRET = "correct horse"
TOPICS = {("kafka", "input_topic"): "in", ("kafka", "output_topic"): "out"}
LOGIN = {**TOPICS, ("kafka", "security_protocol"): "sasl_ssl", ("kafka", "sasl_mechanism"): "plain"}


def password(settings: Settings) -> str:
    assert settings.kafka.sasl_password is not None
    return settings.kafka.sasl_password.get_secret_value()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.mark.parametrize(("written", "read"), [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), (" a \n\n", " a \n")])
def test_a_file_holds_a_secret_less_one_newline(
    file: Path, monkeypatch: pytest.MonkeyPatch, written: str, read: str
) -> None:
    file.write_bytes(written.encode())
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    assert password(load(TOPICS, None)) == read


@pytest.mark.parametrize("place", list(secrets.secret_options()), ids=".".join)
def test_every_secret_may_come_from_a_file_and_none_from_the_command_line(
    place: tuple[str, str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{secrets.variable(*place)}_FILE", str(file))
    settings = load(TOPICS, None)
    assert getattr(getattr(settings, place[0]), place[1]).get_secret_value() == SECRET
    assert place not in {(option.section, option.name) for option in options()}


def test_the_http_token_is_a_secret() -> None:
    assert {("http", "token"), ("kafka", "sasl_password"), ("kafka", "ssl_key_password")} == {*secrets.secret_options()}


def test_a_secret_given_twice(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, SECRET)
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    with pytest.raises(UsageError, match=f"^{NAME} and {NAME}_FILE: both are given; remove one of them$"):
        load(TOPICS, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory); give a readable file"),
        (b"", "is empty; write the secret into it"),
        (b"\n", "is empty; write the secret into it"),
        (b"\xff\xfe", "is no text in UTF-8; give a file that holds the secret alone"),
        (b"x" * 70_000, "is larger than 65536 bytes; give a file that holds the secret alone"),
    ],
)
def test_a_file_that_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(f"{NAME}_FILE", str(path))
    with pytest.raises(UsageError) as error:
        load(TOPICS, None)
    assert str(error.value) == f"{NAME}_FILE: {path} {said}"


def test_a_secret_that_is_wrong_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "statecast.toml"
    for text in (f"sasl_password = ['{SECRET}']", f"[kafka.sasl_password]\nx = '{SECRET}'"):
        config.write_text(f"[kafka]\n{text}\n")
        with pytest.raises(UsageError, match=f"{NAME} .or .kafka. sasl_password.: must be a text") as error:
            load(TOPICS, config)
        assert SECRET not in str(error.value)
    for text in (f"kafka = '{SECRET}'", f"kafka = ['{SECRET}']", f"[kafka.input_topic]\nsasl_password = '{SECRET}'"):
        config.write_text(f"{text}\n")
        with pytest.raises(UsageError) as error:
            load({}, config)
        assert SECRET not in str(error.value)
    monkeypatch.setenv("STATECAST_KAFKA", f'{{"sasl_password": "{SECRET}"')
    with pytest.raises(UsageError) as error:
        load(TOPICS, None)
    assert SECRET not in str(error.value)


def test_a_file_with_secrets_that_everybody_may_read_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text(f'[kafka]\nsasl_password = "{SECRET}"\n[kafka.properties]\n"ssl.key.password" = "{SECRET}"\n')
    config.chmod(0o644)
    assert password(load(TOPICS, config)) == SECRET
    told = capsys.readouterr().err
    held = "[kafka] sasl_password, [kafka.properties] ssl.key.password"
    assert told.startswith(
        f"statecast: warning: --config {config}: holds {held}, and everybody may read it; `chmod o-r"
    )
    assert told.count("\n") == 1
    config.chmod(0o640)
    load(TOPICS, config)
    config.write_text("[delivery]\nbatch = 7\n")
    config.chmod(0o644)
    load(TOPICS, config)
    assert capsys.readouterr().err == ""


def test_children_do_not_inherit_secrets() -> None:
    environment = {"PATH": "/bin", "STATECAST_KAFKA__INPUT_TOPIC": "in", "STATECAST_LOG__LEVEL": "debug"}
    secret = dict.fromkeys(
        [NAME, f"{NAME}_FILE", "statecast_http__token", "STATECAST_KAFKA__PROPERTIES", "STATECAST_KAFKA"], SECRET
    )
    both = {**environment, **secret}
    secrets.forget(both)
    assert both == environment


def test_what_is_shown_of_settings_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = {"sasl.password": SECRET, "ssl.key.pem": SECRET, "sasl.username": "alice", "linger.ms": "7"}
    shown = secrets.hide(properties)
    assert shown == {"sasl.password": "***", "ssl.key.pem": "***", "sasl.username": "alice", "linger.ms": "7"}
    assert secrets.hide(SecretStr(SECRET)) == "***"
    assert SECRET not in repr(Identity("h:1", "group", "slot", properties))
    monkeypatch.setenv(NAME, SECRET)
    assert SECRET not in repr(load(TOPICS, None))


def test_workers_get_secrets_through_their_pipe() -> None:
    monkey = {**LOGIN, ("kafka", "sasl_username"): "alice", ("kafka", "sasl_password"): SECRET}
    (task,) = tasks(load(monkey, None))
    assert SECRET not in repr(task)
    there = load(pickle.loads(pickle.dumps(task)).settings, None)
    assert client_properties(there.kafka)["sasl.password"] == SECRET


def test_config_shows_each_option_and_where_it_comes_from(tmp_path: Path, file: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text('[state]\nstart = "latest"\n[kafka.properties]\n"ssl.key.password" = "correct horse"\n')
    config.chmod(0o600)
    result = command(
        "config", "--config", str(config), "--input-topic", "in",
        STATECAST_LIMITS__MAX_KEY_BYTES="77", STATECAST_KAFKA__SASL_PASSWORD_FILE=str(file),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (result.stderr, SECRET in result.stdout) == ("", False)
    told = {row[0]: (row[1], row[2]) for row in (line.split("  ") for line in compact(result.stdout))}
    assert told["kafka.input_topic"] == ("in", "flag")
    assert told["kafka.application_id"] == ("statecast-INPUT_TOPIC", "default")
    assert told["kafka.sasl_password"] == ("***", "environment")
    assert told["kafka.properties"] == ('{"ssl.key.password": "***"}', "file")
    assert told["limits.max_key_bytes"] == ("77", "environment")
    assert told["state.start"] == ("latest", "file")
    assert told["delivery.batch"] == ("16384", "default")
    assert set(told) == {f"{s}.{n}" for s, outer in Settings.model_fields.items() for n in fields(outer)}


def fields(outer: object) -> list[str]:
    return list(outer.annotation.model_fields)  # type: ignore[attr-defined]


def compact(text: str) -> list[str]:
    """Lines whose columns stand two blanks apart."""
    return ["  ".join(filter(None, map(str.strip, line.split("  ")))) for line in text.splitlines()]


def test_config_tells_what_is_wrong_as_serve_does() -> None:
    result = command("config", "--provider", "tpu")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--provider (or [model] provider)" in result.stderr
