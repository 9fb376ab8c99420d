"""Where the server may listen and who may ask: decided before anything is answered."""

import pytest
from pydantic import SecretStr

from stream.errors import UsageError
from stream.http.access import Access
from stream.settings import HttpSection

TOKEN = "0123456789abcdef"


def access(http: str = "127.0.0.1:8080", token: str | None = None, **more: bool) -> Access:
    return Access.of(HttpSection(http=http, token=None if token is None else SecretStr(token), **more))


def status(access: Access, method: str = "GET", **headers: str) -> int | None:
    """Of the refusal; None: it may pass."""
    refusal = access.refuses(method, {name.replace("_", "-"): value for name, value in headers.items()})
    return None if refusal is None else refusal.status


@pytest.mark.parametrize("http", ["127.0.0.1:0", "127.8.9.10:80", "[::1]:8080", "localhost:8080"])
def test_on_this_machine_alone_no_token_is_needed(http: str) -> None:
    assert access(http).token is None
    assert str(access(http).address) == http


@pytest.mark.parametrize("http", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[::ffff:127.0.0.1]:80"])
def test_where_others_could_ask_a_start_without_a_token_is_refused_with_the_mends(http: str) -> None:
    with pytest.raises(UsageError, match=r"^--http .*STATECAST_HTTP__TOKEN.*127\.0\.0\.1.*--http-insecure") as told:
        access(http)
    assert http in str(told.value)
    assert access(http, token=TOKEN).token == TOKEN
    assert access(http, http_insecure=True).token is None


@pytest.mark.parametrize("token", ["", "two words", "line\n", "schlüssel"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(UsageError, match=r"^\[http\] token: must be printable ASCII") as told:
        access(token=token)
    assert not token or token not in str(told.value)


def test_a_host_that_there_is_not_is_told() -> None:
    with pytest.raises(UsageError, match=r"^--http nowhere\.invalid:80: no such host"):
        access("nowhere.invalid:80")


def test_with_a_token_only_the_token_counts() -> None:
    guarded = access("0.0.0.0:80", token=TOKEN)
    assert status(guarded, authorization=f"Bearer {TOKEN}", host="anything", origin="https://elsewhere") is None
    assert status(guarded, "DELETE", authorization=f"bearer  {TOKEN}") is None
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer é"):
        assert status(guarded, authorization=wrong) == 401, wrong
    assert status(guarded, host="127.0.0.1") == 401


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.1", "127.1.2.3"]
)
def test_without_a_token_names_that_lead_only_here_are_let_in(host: str) -> None:
    assert status(access(), host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", "192.0.2.1", "[::1"],
)
def test_without_a_token_a_name_that_somebody_made_lead_here_is_refused(host: str) -> None:
    # DNS rebinding: the page of evil.example, whose name now resolves to 127.0.0.1, is its own origin.
    assert status(access(), host=host) == 403


def test_a_page_of_another_site_may_change_nothing() -> None:
    assert status(access(), "DELETE", host="localhost:8080", origin="http://localhost:8080") is None
    assert status(access(), "DELETE", host="localhost:8080") is None  # no browser
    for origin in ("https://evil.example", "null", "http://localhost:9999"):
        assert status(access(), "DELETE", host="localhost:8080", origin=origin) == 403
        assert status(access(), "POST", host="localhost:8080", origin=origin) == 403


def test_the_token_is_not_in_what_is_said_of_the_access() -> None:
    guarded = access(token=TOKEN)
    assert TOKEN not in repr(guarded)
    refusal = guarded.refuses("GET", {"authorization": "Bearer guess"})
    assert refusal is not None
    assert "guess" not in refusal.message
