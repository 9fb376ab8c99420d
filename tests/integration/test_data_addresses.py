"""Data that lies elsewhere: against servers that speak S3 and HTTP, through the same readers as files on the disk."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from tests.unit.test_data_forms import read_as
from training.data import read_events
from training.errors import DataError

CSV = b"t,k,v\n2,a,1.5\n1,b,2\n"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """s3://NAME/ of a bucket with CSV at data.csv, many/2.csv, many/10.csv, and sequences with labels."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3", endpoint_url=server)
    client.create_bucket(Bucket="data")
    objects = {
        "data.csv": CSV,
        "warm.csv": b"t,k,v\n1,a,warm\n",
        "many/2.csv": CSV,
        "many/10.csv": b"t,k,v\n9,c,9\n",
        "many/readme.md": b"not data",
        "features/0.csv": b"1\n2\n",
        "features/1.csv": b"3\n",
        "labels/0.csv": b"up\n",
        "labels/1.csv": b"down\n",
        "play.txt": b"to be",
    }
    for name, body in objects.items():
        client.put_object(Bucket="data", Key=name, Body=body)
    yield "s3://data"
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_file_in_s3_is_read_as_one_on_the_disk(bucket: str) -> None:
    for address in (f"{bucket}/data.csv", Path(f"{bucket}/data.csv")):
        events = read_events([address], "k", ["v"], "t")
        assert events.keys == [b"b", b"a"]
        assert events.values[:, 0].tolist() == [2, 1.5]


@pytest.mark.parametrize("address", ["many", "many/", "many/*.csv"])
def test_a_directory_and_a_pattern_stand_for_their_files_in_natural_order(bucket: str, address: str) -> None:
    events = read_events([f"{bucket}/{address}"], "k", ["v"])
    assert events.keys == [b"a", b"b", b"c"]


def test_sequences_their_labels_and_texts_may_lie_there_too(bucket: str) -> None:
    events = read_as([f"{bucket}/features"], sequences=True, labels=f"{bucket}/labels")
    assert events.keys == [b"0", b"1"]
    assert [events.classes[i] for i in events.label[[0, 1]]] == ["up", "down"]
    assert read_as([f"{bucket}/play.txt"], text="words").symbols == ("to", "be")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nothing.csv", "s3://data/nothing.csv: no such file"),
        ("none/*.csv", "s3://data/none/*.csv: no file fits the pattern"),
        ("warm.csv", "s3://data/warm.csv, line 2, column v: 'warm' is not a number"),
    ],
)
def test_what_is_wrong_is_named_by_its_address(bucket: str, address: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_events([f"{bucket}/{address}"], "k", ["v"], "t")
    assert message in str(caught.value)


def test_a_server_that_is_not_there_is_told_in_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(DataError, match=r"s3://data/data\.csv: cannot be read") as caught:
        read_events([f"{bucket}/data.csv"], "k", ["v"], "t")
    assert "\n" not in str(caught.value)


def test_a_file_behind_http_is_read_even_where_a_page_stands_in_it(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text('v,note\n1,"<a href=""other.csv"">x</a>"\n')
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/data.csv"
        assert read_events([address], None, ["v"]).values[:, 0].tolist() == [1]
        with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
            read_events([address.replace("data", "nothing")], None, ["v"])
        server.shutdown()
