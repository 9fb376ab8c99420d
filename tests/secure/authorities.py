"""Certificates for tests, made on the spot: authorities, brokers and clients. PEM, as operators have them."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

PLAIN = NoEncryption()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


class Authority:
    """Signs certificates; `pem` is what those who trust it are given."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # signs certificates, CRLs
        built = _builder(name, name, self._key).add_extension(x509.BasicConstraints(True, None), True)
        certificate = built.add_extension(usage, True).sign(self._key, hashes.SHA256())
        self.pem = folder / f"{name}.pem"
        self.pem.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, host: str | None = None, password: bytes | None = None) -> tuple[Path, Path]:
        """(certificate, key) of one called name, as files. host: the address or name that a broker answers under."""
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(name, self.name, key).add_extension(x509.BasicConstraints(False, None), True)
        if host is not None:
            known: x509.GeneralName = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            built = built.add_extension(x509.SubjectAlternativeName([known]), False)
        certificate = built.sign(self._key, hashes.SHA256())
        encryption: KeySerializationEncryption = PLAIN if password is None else BestAvailableEncryption(password)
        of_one, of_key = self._folder / f"{name}.{self.name}.pem", self._folder / f"{name}.{self.name}.key"
        of_one.write_bytes(certificate.public_bytes(Encoding.PEM))
        of_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return of_one, of_key


def together(folder: Path, certificate: Path, key: Path) -> Path:
    """Both in one file, as Kafka's `ssl.keystore.location` wants them."""
    store = folder / f"{certificate.stem}.store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    return store
