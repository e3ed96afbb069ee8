"""Certificates for 127.0.0.1, each set from its own authority."""

from pathlib import Path

from heddle.config import Tls
from heddle.identity import certificates


def make(folder: Path, owner: str = "scheduler") -> Tls:
    """Writes a set of certificates into the new folder `folder`; returns the files of `owner`.

    It is scheduler, ui, client or worker-local.
    """
    certificates.make_set(folder, ["127.0.0.1", "localhost"], ["local"])
    return of(folder, owner)


def of(folder: Path, owner: str) -> Tls:
    """Returns the files of an owner in a set."""
    return Tls(folder / f"{owner}.pem", folder / f"{owner}-key.pem", folder / certificates.AUTHORITY_FILE)


def environment(tls: Tls) -> dict[str, str]:
    """Returns the variables that name these files."""
    return {
        "HEDDLE_TLS_CERT": str(tls.certificate),
        "HEDDLE_TLS_KEY": str(tls.key),
        "HEDDLE_TLS_CA": str(tls.authority),
    }
