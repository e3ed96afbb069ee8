"""Certificates for mutual TLS: what they say about their owner, and a set for development.

A certificate names its owner in a URI of its subject alternative names: `heddle:scheduler`,
`heddle:ui`, `heddle:worker/NAME`, or `heddle:client` for people and programs, who also send a token.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SCHEME: Final = "heddle:"
SCHEDULER: Final = "heddle:scheduler"
WEB: Final = "heddle:ui"
CLIENT: Final = "heddle:client"

# Days that the certificates of a development set are valid.
_VALID: Final = 825

AUTHORITY_FILE: Final = "ca.pem"


def worker(name: str) -> str:
    """Returns the identity of a worker's services."""
    return f"heddle:worker/{name}"


def worker_of(found: Iterable[str]) -> str:
    """Returns the name of the worker that one of the identities is of; empty if there is none."""
    prefix = worker("")
    return next((each.removeprefix(prefix) for each in found if each.startswith(prefix)), "")


def identities(auth_context: Mapping[str, Iterable[bytes]]) -> set[str]:
    """Returns the identities in the certificate of a gRPC peer; empty without mutual TLS."""
    names = auth_context.get("x509_subject_alternative_name", ())
    return {text for name in names if (text := name.decode(errors="replace")).startswith(SCHEME)}


def make_set(folder: Path, hosts: Iterable[str], workers: Iterable[str]) -> list[Path]:
    """Writes an authority, and a certificate and key for each service and for clients; returns the files.

    All certificates are valid for all `hosts`, names or IP addresses. The key of the authority is
    not kept. Raises FileExistsError instead of replacing a file, and ImportError without the
    package `cryptography`.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (an extra, needed here only)

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, authority = _authority()
    written = [_write(folder / AUTHORITY_FILE, authority.public_bytes(serialization.Encoding.PEM), 0o644)]
    owners = {"scheduler": SCHEDULER, "ui": WEB, "client": CLIENT}
    owners |= {f"worker-{name}": worker(name) for name in workers}
    for name, identity in owners.items():
        key, certificate = _issue(authority_key, authority, identity, list(hosts))
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        written.append(_write(folder / f"{name}.pem", public, 0o644))
        written.append(_write(folder / f"{name}-key.pem", private, 0o600))
    return written


def _authority() -> "tuple[EllipticCurvePrivateKey, x509.Certificate]":
    from cryptography import x509  # noqa: PLC0415 (an extra, needed here only)
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 (as above)
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 (as above)

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Heddle development authority")
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return key, builder.sign(key, hashes.SHA256())


def _issue(
    authority_key: "EllipticCurvePrivateKey", authority: "x509.Certificate", identity: str, hosts: list[str]
) -> "tuple[EllipticCurvePrivateKey, x509.Certificate]":
    from cryptography import x509  # noqa: PLC0415 (an extra, needed here only)
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 (as above)
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 (as above)

    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(identity), authority.subject, key.public_key())
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity)]
    for host in hosts:
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    usages = x509.ExtendedKeyUsage(
        [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    builder = builder.add_extension(usages, critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
    )
    return key, builder.sign(authority_key, hashes.SHA256())


def _name(text: str) -> "x509.Name":
    from cryptography import x509  # noqa: PLC0415 (an extra, needed here only)

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])


def _builder(subject: "x509.Name", issuer: "x509.Name", public: "object") -> "x509.CertificateBuilder":
    from cryptography import x509  # noqa: PLC0415 (an extra, needed here only)

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(public).serial_number(x509.random_serial_number())  # type: ignore[arg-type]  # a union of key types
    # Clocks differ between machines.
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=_VALID))


def _write(path: Path, content: bytes, mode: int) -> Path:
    with path.open("xb") as file:
        path.chmod(mode)
        file.write(content)
    return path
