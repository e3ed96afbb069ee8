"""Certificates for 127.0.0.1, each set from its own authority."""

from pathlib import Path

import trustme

from heddle.config import Tls


def make(folder: Path) -> Tls:
    """Writes a certificate, its key and its authority into the new folder `folder`; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    tls = Tls(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    issued.cert_chain_pems[0].write_to_path(str(tls.certificate))
    issued.private_key_pem.write_to_path(str(tls.key))
    authority.cert_pem.write_to_path(str(tls.authority))
    return tls


def environment(tls: Tls) -> dict[str, str]:
    """Returns the variables that name these files."""
    return {
        "HEDDLE_TLS_CERT": str(tls.certificate),
        "HEDDLE_TLS_KEY": str(tls.key),
        "HEDDLE_TLS_CA": str(tls.authority),
    }
