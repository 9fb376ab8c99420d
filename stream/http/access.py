"""Where the server listens, and who may ask: only programs of this machine, or whoever has the token.

A page from the internet runs in the browser of somebody who may ask. It gets in by a name of its own that leads here
(so without a token only this machine's own names are taken as Host), or by asking blindly (so what changes something
must not come from elsewhere). Neither gets past a token.
"""

import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from stream.errors import UsageError
from stream.settings import HttpSection

HOST_PORT = re.compile(r"(?P<host>[^][\s/:]+|\[[^][\s/]+\]):(?P<port>[0-9]{1,5})")
SENDABLE = re.compile(r"[\x21-\x7e]+")  # what a header can carry without doubt


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises UsageError where the text is not HOST:PORT."""
        match = HOST_PORT.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise UsageError(f"--http {text}: must be HOST:PORT, e.g. 127.0.0.1:8080 or [::1]:8080")
        return cls(match["host"].strip("[]"), int(match["port"]))

    def __str__(self) -> str:
        """As it is given, and as a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Refusal:
    """Why somebody may not ask. status: as in HTTP."""

    status: int
    message: str


@dataclass(frozen=True)
class Access:
    """What the settings say of it, checked."""

    address: Address  # as given
    bound: Address  # as the system sees it
    token: str | None = field(repr=False)
    stuck_after: float  # seconds

    @classmethod
    def of(cls, settings: HttpSection) -> Self:
        """Raises UsageError where there is no such address, or where it would be open to all."""
        address = Address.parse(settings.http)
        try:
            host = str(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][4][0])
        except (OSError, UnicodeError):
            raise UsageError(f"--http {settings.http}: no such host; give an address of this machine") from None
        token = settings.token.get_secret_value() if settings.token is not None else None
        if token is not None and not SENDABLE.fullmatch(token):
            raise UsageError(
                "[http] token: must be printable ASCII without spaces; make one with `openssl rand -hex 32`"
            )
        if token is None and not settings.http_insecure and not _loopback(host):
            raise UsageError(
                f"--http {settings.http}: others could read and reset streams there; set STATECAST_HTTP__TOKEN or "
                "STATECAST_HTTP__TOKEN_FILE, listen on 127.0.0.1, or give --http-insecure where the network is trusted"
            )
        return cls(address, Address(host, address.port), token, settings.stuck_after)

    def listen(self) -> socket.socket:
        """Raises UsageError where the address cannot be bound."""
        family = socket.AF_INET6 if ":" in self.bound.host else socket.AF_INET
        try:
            return socket.create_server((self.bound.host, self.bound.port), family=family)
        except OSError as error:
            raise UsageError(f"--http {self.address}: {error.strerror}; choose another address") from None

    def knows(self, authorization: str) -> bool:
        """Whether this header has the token. Takes as long whatever the header says."""
        scheme, _, given = authorization.partition(" ")
        right = hmac.compare_digest(given.strip().encode(), (self.token or "").encode())
        return self.token is None or (right and scheme.lower() == "bearer")

    def refuses(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why this request may not pass; headers in lower case. None: it may."""
        if not self.knows(headers.get("authorization", "")):
            return Refusal(401, "the token is missing or wrong; send the header `Authorization: Bearer TOKEN`")
        if self.token is not None:
            return None
        host = headers.get("host", "")
        if _loopback(self.bound.host) and not self._own(host):
            return Refusal(403, f"Host {host[:100]} is not this machine's; ask {self.address.host}, or set a token")
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and origin is not None and origin.partition("://")[2] != host:
            return Refusal(403, f"a page of {origin[:100]} may change nothing here; set a token to let it in")
        return None

    def _own(self, host: str) -> bool:
        """Whether a Host header has a name that leads nowhere but to this machine."""
        match = re.fullmatch(r"(\[[^]]*\]|[^:]*)(:[0-9]*)?", host)
        name = match[1].strip("[]").lower() if match else ""
        return name in ("localhost", self.address.host.lower()) or (bool(name) and _loopback(name))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
