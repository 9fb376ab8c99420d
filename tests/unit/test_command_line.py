"""What a user gets wrong is told in one line that names the thing, the value seen and the mend; no traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from export.sample import random_model
from stream.configuration import load, options
from stream.errors import UsageError
from stream.http.access import Address
from tests.service import ROOT, command

COMMANDS = ["serve", "loadtest", "train", "export", "replay", "generate", "inspect", "broker", "state"]


@pytest.fixture(scope="module")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, hidden=4)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = command(name, "--help")
    assert result.returncode == 0
    assert f"Usage: statecast {name}" in result.stdout


def test_a_command_of_a_command_has_help() -> None:
    result = command("state", "prune", "--help")
    assert result.returncode == 0
    assert "Usage: statecast state prune" in result.stdout


def test_without_a_command_the_help_is_shown() -> None:
    result = command()
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)


def told(code: int, *arguments: str, **environment: str) -> str:
    result = command(*arguments, **environment)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("statecast: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    result = command("config", "--state-dir", "gr\u00f6\u00dfe", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert r"gr\xf6\xdfe" in result.stdout


def test_an_unknown_option_is_told_with_where_to_look() -> None:
    line = told(2, "serve", "--nonsense")
    assert "--nonsense" in line
    assert "statecast serve --help" in line


def test_an_unknown_command_is_told() -> None:
    assert "nonsense" in told(2, "nonsense")


def a_folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("this is no model")


def unsigned(path: Path) -> None:
    random_model(path, hidden=4)
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))


def from_the_future(path: Path) -> None:
    random_model(path, hidden=4)
    model = onnx.load(str(path))
    for entry in model.metadata_props:
        entry.value = entry.value.replace('"format":1', '"format":99')
    onnx.save(model, str(path))


def absent(path: Path) -> None: ...


NO_MODELS: dict[Callable[[Path], None], str] = {
    absent: "No such file",
    a_folder: "Is a directory",
    text: "is not an ONNX file",
    unsigned: "no statecast signature",
    from_the_future: "format 99",
}


@pytest.mark.parametrize("make", NO_MODELS, ids=lambda make: make.__name__)
def test_a_file_that_is_no_model_is_told(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    make(path)
    line = told(2, "inspect", str(path))
    assert NO_MODELS[make] in line
    assert str(path) in line


@pytest.mark.parametrize("name", ["serve", "replay", "loadtest"])
def test_every_command_that_takes_a_model_tells_what_is_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    unsigned(path)
    more = {
        "serve": ["--input-topic", "a", "--output-topic", "b"],
        "replay": ["--input", str(path), "--output", str(tmp_path / "out")],
        "loadtest": ["--input-topic", "a", "--output-topic", "b", "--verify", "--bootstrap-servers", "127.0.0.1:1"],
    }
    assert "no statecast signature" in told(2, name, "--model", str(path), *more[name])


DATA: dict[str, tuple[str, list[str], list[str]]] = {
    "empty": ("", ["--value", "v"], ["data.csv", "empty"]),
    "only a header": ("k,v\n", ["--value", "v"], ["data.csv"]),
    "no such column": ("k,v\na,1\n", ["--value", "w"], ["data.csv", "--value w", "k, v"]),
    "text in a number column": ("k,v\na,1\na,warm\n", ["--key", "k", "--value", "v"], ["data.csv", "line 3", "warm"]),
    "a time that is none": ("t,v\nsoon,1\n", ["--time", "t", "--value", "v"], ["data.csv", "line 2", "soon"]),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_be_read_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    content, arguments, parts = DATA[name]
    path = tmp_path / "data.csv"
    path.write_text(content)
    line = told(2, "train", str(path), *arguments, "--out", str(tmp_path / "run"))
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--lags", "1,2"], "not '1,2'"),
        (["--hidden", "many"], "not 'many'"),
        (["--seed", "-1"], "--seed -1"),
    ],
)
def test_an_option_of_train_with_a_wrong_value_is_told(arguments: list[str], says: str, tmp_path: Path) -> None:
    assert says in told(2, "train", "nowhere.csv", *arguments, "--out", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "{data}"], "--output {data}: is an input; give another path"),
        (["--output", "{model}"], "--output {model}: is an input; give another path"),
        (["--output", "{folder}"], "--output {folder}: cannot be written (Is a directory); give another path"),
        (["--batch", "0"], "not '0'"),
        (["--state-ttl", "1e-9", "--time", "value"], "--state-ttl 1e-09: must be seconds, at least 0.001"),
        (["--state-ttl", "5"], "give --time COLUMN too"),
        (["--value", "value", "--value", "w"], "--value: 2 columns; the model has 1"),
    ],
)
def test_an_option_of_replay_with_a_wrong_value_is_told(
    arguments: list[str], says: str, a_model: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.csv"
    data.write_text("value,w\n1,2\n2,3\n")
    before = data.read_bytes(), a_model.read_bytes()
    places = {"data": data, "model": a_model, "folder": tmp_path}
    given = [argument.format_map(places) for argument in arguments]
    line = told(2, "replay", "--model", str(a_model), "--input", str(data), "--output", str(tmp_path / "out"), *given)
    assert says.format_map(places) in line
    assert before == (data.read_bytes(), a_model.read_bytes())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "nowhere.csv" in told(2, "train", str(tmp_path / "nowhere.csv"), "--value", "v")


TOPIC = "must be 1 to 249 letters, digits, '.', '_' or '-', and neither '.' nor '..'"
NUMBER = "Input should be a valid number, unable to parse string as a number"
SERVERS = "must be HOST:PORT[,HOST:PORT] with ports from 1 to 65535"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--commit-interval", "-1"], "--commit-interval"),
        (["--delivery", "twice"], "'exactly_once' or 'at_least_once'"),
        (["--memory-limit", "-1"], "[limits] memory_limit): must be a number of bytes, e.g. 4GiB, not '-1'"),
        (["--memory-limit", "2 pounds"], "must be a number of bytes, e.g. 4GiB, not '2 pounds'"),
        (["--memory-limit", "0"], "--memory-limit"),
        (["--http", "nowhere"], "must be HOST:PORT"),
        (["--http", "127.0.0.1:²"], "must be HOST:PORT"),
        (["--http", ":::80"], "--http :::80: must be HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080"),
        (["--http", "::1"], "--http ::1: must be HOST:PORT"),
        (["--http", ":80"], "--http :80: must be HOST:PORT"),
        (["--http", "[::1:80"], "--http [::1:80: must be HOST:PORT"),
        (["--http", "http://localhost:80"], "--http http://localhost:80: must be HOST:PORT"),
        (["--http", "localhost:65536"], "--http localhost:65536: must be HOST:PORT"),
        (["--http", "0.0.0.0:0"], "--http 0.0.0.0:0: others could read and reset streams there; set STATECAST_"),
        (["--http", "0.0.0.0:0", "--workers", "2"], "or give --http-insecure where the network is trusted"),
        (["--output-topic", "a"], "must be three topics"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--warmup", "nope"], f"'--warmup': {NUMBER}, not 'nope'"),
        (["--state-ttl", "5m"], f"'--state-ttl': {NUMBER}, not '5m'"),
        (["--batch", "1.5"], "not '1.5'"),
        (["--replication-factor", "99999999"], "--replication-factor"),
        (["--instance-id", ""], "--instance-id"),
        (["--instance-id", "é"], "--instance-id"),
        (["--instance-id", "a\nb"], "--instance-id"),
        (["--input-topic", "a b"], f"--input-topic (or [kafka] input_topic): {TOPIC}, not 'a b'"),
        (["--input-topic", ""], f"{TOPIC}, not ''"),
        (["--output-topic", ".."], f"--output-topic (or [kafka] output_topic): {TOPIC}, not '..'"),
        (["--output-topic", "x" * 250], f"--output-topic (or [kafka] output_topic): {TOPIC}"),
        (["--dead-letter-topic", "b/é"], f"--dead-letter-topic (or [kafka] dead_letter_topic): {TOPIC}, not 'b/é'"),
        (["--application-id", "my app"], f"--application-id (or [kafka] application_id): {TOPIC}, not 'my app'"),
        (["--application-id", "x" * 231], "the changelog's name, would have 250 characters, and Kafka takes 249"),
        (["--input-topic", "x" * 221], "give a shorter --application-id"),
        (["--output-topic", "x" * 237], "give a shorter --dead-letter-topic"),
        (["--bootstrap-servers", "a:x"], f"--bootstrap-servers (or [kafka] bootstrap_servers): {SERVERS}, not 'a:x'"),
        (["--bootstrap-servers", ""], f"{SERVERS}, not ''"),
        (["--bootstrap-servers", ","], f"{SERVERS}, not ','"),
        (["--bootstrap-servers", "127.0.0.1:1,"], f"{SERVERS}, not '127.0.0.1:1,'"),
        (["--bootstrap-servers", ":9092"], f"{SERVERS}, not ':9092'"),
        (["--bootstrap-servers", "127.0.0.1:65536"], f"{SERVERS}, not '127.0.0.1:65536'"),
        (["--bootstrap-servers", "http://127.0.0.1:1"], f"{SERVERS}, not 'http://127.0.0.1:1'"),
    ],
)  # fmt: skip
def test_an_option_of_serve_with_a_wrong_value_is_told(arguments: list[str], says: str, a_model: Path) -> None:
    line = told(2, "serve", "--model", str(a_model), "--input-topic", "a", "--output-topic", "b", *arguments)
    assert says in line


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert Address.parse("[::1]:8080") == Address("::1", 8080)
    assert Address.parse("localhost:0") == Address("localhost", 0)


@pytest.mark.parametrize("value", ["inf", "nan", "-1", "1e300"])
def test_every_duration_of_serve_is_finite(value: str) -> None:
    durations = [option for option in options() if option.type in (float, float | None)]
    assert len(durations) >= 8
    for duration in durations:
        with pytest.raises(UsageError) as caught:
            load({("kafka", "input_topic"): "a", ("kafka", "output_topic"): "b",
                  (duration.section, duration.name): value}, None)  # fmt: skip
        assert str(caught.value).startswith(
            f"--{duration.flag} (or [{duration.section}] {duration.name}): Input should"
        )
        assert str(caught.value).endswith(f", not {value!r}")


@pytest.mark.parametrize("servers", ["broker", "a:1,b:65535", "a:1, b:2", "[::1]:9092", "SASL_SSL://a.example:9093"])
def test_brokers_as_the_clients_take_them(servers: str) -> None:
    given = {("kafka", "input_topic"): "a", ("kafka", "output_topic"): "b", ("kafka", "bootstrap_servers"): servers}
    assert load(given, None).kafka.bootstrap_servers == servers


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--application-id", ""], TOPIC),
        (["--application-id", "a b"], f"{TOPIC}, not 'a b'"),
        (["--bootstrap-servers", "nope:x"], f"{SERVERS}, not 'nope:x'"),
        (["--keep", "nowhere.onnx"], "model nowhere.onnx: cannot be read"),
        (["--config", "nowhere.toml"], "--config nowhere.toml: no such file"),
    ],
)
def test_an_option_of_prune_with_a_wrong_value_is_told(arguments: list[str], says: str) -> None:
    assert says in told(2, "state", "prune", "--application-id", "app", *arguments)


SECURITY = {
    '"ssl.ca.location" = "nowhere.pem"': "client property ssl.ca.location: no file nowhere.pem that can be read",
    '"group.id" = "mine"': "client property group.id: statecast sets it itself; remove it",
    '"sasl.nonsense" = "x"': "client property sasl.nonsense: not both clients have it",
    'sasl.password = "secret"': "[kafka] properties: sasl: put the whole name into quotes",
    '"linger.ms" = 5': '[kafka] properties: linger.ms: put the value into quotes',
}  # fmt: skip


@pytest.mark.parametrize("line", SECURITY)
def test_serve_and_prune_take_client_properties_alike(line: str, a_model: Path, tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text(f"[kafka.properties]\n{line}\n")
    serve = told(2, "serve", "--model", str(a_model), "--input-topic", "a", "--output-topic", "b", "--client",
                 "kafka-python", "--config", str(config))  # fmt: skip
    prune = told(2, "state", "prune", "--application-id", "app", "--config", str(config))
    assert serve == prune
    assert SECURITY[line] in serve
    assert "secret" not in serve


def test_a_table_in_the_environment_that_is_not_json_is_told() -> None:
    line = told(2, "serve", "--input-topic", "a", "--output-topic", "b", STATECAST_KAFKA__PROPERTIES="{")
    assert "environment" in line
    assert "kafka" in line
    assert "--config" not in line


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text('[kafka]\ninput_topic = "file"\noutput_topic = "file"\nclient = "file"\n')
    line = told(2, "serve", "--config", str(config), "--client", "flag", STATECAST_KAFKA__CLIENT="environment")
    assert "not 'flag'" in line
    assert "'environment'" in told(2, "serve", "--config", str(config), STATECAST_KAFKA__CLIENT="environment")
    assert "not 'file'" in told(2, "serve", "--config", str(config))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            '[kafka]\ninput_topc = "a"\n',
            "kafka.input_topc: there is no such option; `statecast serve --help` lists them",
        ),
        ("[kaffka]\na = 1\n", "kaffka: there is no such option"),
        ("a = [", "statecast.toml: is not TOML (Invalid value"),
        ("a = '\udce9'", "statecast.toml: is not TOML ('utf-8' codec"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(content: str, says: str, tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text(content, errors="surrogateescape")
    assert says in told(2, "serve", "--config", str(config))


def test_a_file_that_cannot_be_read_is_told() -> None:
    assert "--config /proc/self/mem: cannot be read" in told(2, "serve", "--config", "/proc/self/mem")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    random_model(model, hidden=4)
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "statecast", "inspect", str(model)],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in result.stderr
