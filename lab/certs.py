"""A certificate authority for one run, and server certificates from it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Authority:
    """A CA whose files lie in one folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path) -> "Authority":
        """Make a CA and write ca.pem."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name("Pointsman lab CA"), _name("Pointsman lab CA"), key, days=60)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        certificate = builder.sign(key, hashes.SHA256())
        authority = cls(folder, key, certificate)
        authority.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return authority

    @property
    def ca_file(self) -> Path:
        """What a client has to trust."""
        return self.folder / "ca.pem"

    def issue(self, name: str, days: int = 20) -> Path:
        """Write a server's key and certificate for a host name into one file."""
        key, certificate = self._sign(name, days)
        path = self.folder / f"{name}-{days}.pem"
        path.write_bytes(_secret(key) + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def self_signed(self, name: str) -> tuple[Path, Path]:
        """Write a server's key and certificate that no CA knows; and the certificate alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = _builder(_name(name), _name(name), key, days=20).add_extension(names, False)
        public = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        path, alone = self.folder / f"self-{name}.pem", self.folder / f"self-{name}.crt"
        path.write_bytes(_secret(key) + public)
        alone.write_bytes(public)
        return path, alone

    def client(self, name: str, password: str, days: int = 20, *, chain: bool = True) -> Path:
        """Write a client's key and certificate, PKCS#12, with this CA's as a provider would."""
        key, certificate = self._sign(name, days)
        path = self.folder / f"{name}-{days}.pfx"
        issuers = [self.certificate] if chain else None
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                name.encode(), key, certificate, issuers, encryption
            )
        )
        return path

    def _sign(self, name: str, days: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = _builder(_name(name), self.certificate.subject, key, days)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        return key, builder.sign(self.key, hashes.SHA256())


def _secret(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    start = min(now, now + timedelta(days=days)) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(now + timedelta(days=days))
    )
