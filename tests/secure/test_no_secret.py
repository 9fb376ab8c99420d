"""Known secrets, the real service at debug level against right and wrong brokers: they stand nowhere that it writes."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbroker import ports
from tests.secure.fortress import ALICE, KEY_PASSWORD, PASSWORDS, Fortress
from tests.secure.served import Served
from tests.service import Service, command, eventually, serving

TOKEN = "http-token-5526-5526"
WRONG = "mistaken-identity-3301"
SECRETS = (PASSWORDS[ALICE], KEY_PASSWORD, TOKEN, WRONG)
PASSWORD = "STATECAST_KAFKA__SASL_PASSWORD"
RIGHT = {PASSWORD: PASSWORDS[ALICE], "STATECAST_KAFKA__SSL_KEY_PASSWORD": KEY_PASSWORD}
PROPERTIES = "STATECAST_KAFKA__PROPERTIES"
PATHS = ("/", "/healthz", "/readyz", "/metrics", "/v1/model", "/v1/streams", "/openapi.json", "/nothing")


def found_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.fixture
def served(fortress: Fortress, tmp_path: Path) -> Served:
    return Served(fortress, Served.fill(fortress), "confluent", tmp_path)


def options(fortress: Fortress) -> list[str]:
    certificate, key = fortress.locked_client
    own = ["--ssl-ca", str(fortress.authority.pem), "--ssl-certificate", str(certificate), "--ssl-key", str(key)]
    return ["--security-protocol", "SASL_SSL", "--sasl-mechanism", "PLAIN", "--sasl-username", ALICE, *own]


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_service_that_works_shows_no_secret(
    fortress: Fortress, served: Served, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.client = client
    for name, value in {**RIGHT, "STATECAST_HTTP__TOKEN": TOKEN}.items():
        monkeypatch.setenv(name, value)
    state, log = served.folder / "state", served.folder / "serve.log"
    address = f"127.0.0.1:{ports.free_port()}"
    more = ["--no-until-end", "--log-level", "debug", "--state-dir", str(state), "--http", address, "--workers", "1"]
    if client == "confluent":
        more[-1] = "2"
        fortress.add_partitions(served.input, 2)
    with serving(log, *served.arguments("LOGIN", *options(fortress), *more)) as service:
        eventually("it is ready", lambda: asked(address, "/readyz")[0] == 200 or service.process.poll() is not None)
        assert service.process.poll() is None, log.read_text()
        for path in PATHS:
            for token in (None, "wrong", TOKEN):
                assert found_in(asked(address, path, token)[1]) == [], path
        seen = list(processes(service))
        assert len(seen) == (3 if client == "confluent" else 1)
        for number, arguments, environment in seen:
            assert found_in(arguments) == []
            assert number == service.process.pid or found_in(environment) == []  # the first one was given them
        service.terminate()
        assert service.wait() == 0, log.read_text()
    assert found_in(log.read_text()) == []
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not any(secret.encode() in path.read_bytes() for secret in SECRETS), path


def asked(address: str, path: str, token: str | None = None) -> tuple[int, str]:
    """(status, headers and body)."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    question = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(question, timeout=10) as got:
            return got.status, f"{got.headers}{got.read().decode(errors='replace')}"
    except urllib.error.HTTPError as error:
        return error.code, f"{error.headers}{error.read().decode(errors='replace')}"
    except OSError:
        return 0, ""


def processes(service: Service) -> Iterator[tuple[int, str, str]]:
    """(process, arguments, environment) of the service and its workers."""
    parents = {service.process.pid}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if int(folder.name) in parents or parent in parents:
                parents.add(int(folder.name))
                texts = [(folder / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ")]
                yield int(folder.name), texts[0], texts[1]
        except (FileNotFoundError, ProcessLookupError):
            continue


WRONGS: dict[str, tuple[str, dict[str, str]]] = {  # the door, and what is wrong in the environment
    "a wrong password": ("LOGIN", {PASSWORD: WRONG}),
    "a wrong listener": ("PLAINTEXT", {}),
    "a wrong key password": ("LOGIN", {"STATECAST_KAFKA__SSL_KEY_PASSWORD": WRONG}),
    "properties that are no table": ("LOGIN", {PROPERTIES: WRONG}),
    "a property that says what an option does": ("LOGIN", {PROPERTIES: json.dumps({"sasl.password": WRONG})}),
    "a property that no client has": ("LOGIN", {PROPERTIES: json.dumps({"no.such.password": WRONG})}),
    "a section that is no table": ("LOGIN", {"STATECAST_KAFKA": f'"{WRONG}"'}),
    "a secret of no name": ("LOGIN", {"STATECAST_KAFKA__SASL_PASSWRD": WRONG}),
}


@pytest.mark.parametrize("what", WRONGS)
def test_a_start_that_goes_wrong_shows_no_secret(fortress: Fortress, served: Served, what: str) -> None:
    door, wrong = WRONGS[what]
    arguments = served.arguments(door, *options(fortress), "--log-level", "debug")
    result = command("serve", *arguments, timeout=150, **{**RIGHT, **wrong})
    assert result.returncode in (1, 2), result.stderr
    assert found_in(result.stdout + result.stderr) == []
    assert result.stderr.splitlines()[-1].startswith("statecast: ")
    assert "Traceback" not in result.stderr


def test_help_and_configuration_show_no_secret() -> None:
    given = {PASSWORD: WRONG, "STATECAST_HTTP__TOKEN": TOKEN, PROPERTIES: json.dumps({"ssl.key.password": WRONG})}
    for arguments in (("serve", "--help"), ("config",), ("state", "prune", "--help")):
        result = command(*arguments, **given)
        assert result.returncode == 0, result.stderr
        assert found_in(result.stdout + result.stderr) == []
    assert not re.search("--(sasl|ssl-key)-password|--token", command("serve", "--help").stdout)
