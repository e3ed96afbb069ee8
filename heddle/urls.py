"""URLs of git repositories: how to recognize, compare and redact them."""

import ipaddress
import re
import urllib.parse
from typing import Final

from heddle.errors import invalid_field
from heddle.sockets import is_socket

_SCHEME: Final = re.compile(r"(https?|ssh|git|file)://(?:([^/@]*)@)?([^/@:]*)(?::(\d+))?(/.*)", re.IGNORECASE)
# Such as git@example.com:team/app.git
_SHORT: Final = re.compile(r"(?:([\w.-]+)@)?([A-Za-z0-9][\w.-]*):(?!/|\\)(.+)")
_PASSWORD: Final = re.compile(r"(://[^/@\s:]*):[^/@\s]*@")
# A repository that a worker serves to others: heddle://WORKER/PATH.
_OF_WORKER: Final = "heddle://"
_PORTS: Final = {"http": "80", "https": "443", "ssh": "22", "git": "9418"}


def is_url(project: str) -> bool:
    """Returns whether a project is given as a URL rather than a path."""
    return bool(_SCHEME.fullmatch(project) or _SHORT.fullmatch(project) or "://" in project)


def of_worker(worker: str, path: str) -> str:
    """Returns the URL by which other workers know a repository at an absolute path on a worker's disk.

    git cannot open it by itself: the worker that has the repository must grant access to it.
    """
    return f"{_OF_WORKER}{worker}{urllib.parse.quote(path)}"


def worker_and_path(url: str) -> tuple[str, str]:
    """Returns the worker and the path of a URL of `of_worker`."""
    worker, _, path = url.removeprefix(_OF_WORKER).partition("/")
    return worker, urllib.parse.unquote(f"/{path}")


def is_of_worker(project: str) -> bool:
    """Returns whether a project is given as a repository of another worker."""
    return project.startswith(_OF_WORKER)


def redacted(text: str) -> str:
    """Returns `text` without the passwords of the URLs in it."""
    return _PASSWORD.sub(r"\1:***@", text)


def identity(url: str) -> str:
    """Returns the canonical form of a repository's URL; raises INVALID_FIELD.

    It is independent of the user, the short form of ssh, the default port, a trailing
    slash and `.git`. A repository served over two protocols counts as two, since only
    the server knows that they are the same.
    """
    if url != redacted(url):
        raise invalid_field(
            "project",
            f"{redacted(url)} contains a password, which would be visible in logs and to agents. Remove it, and give"
            " the worker's git access with a credential helper or ssh",
        )
    if is_of_worker(url):
        return url
    found = _SCHEME.fullmatch(url)
    if found:
        scheme, _, host, port, path = found.groups()
    else:
        short = _SHORT.fullmatch(url)
        if short is None or "://" in url:
            raise invalid_field(
                "project",
                f"{url!r} is not a URL that Heddle can clone; use https, ssh, git or file, or git@host:path",
            )
        scheme, host, port, path = "ssh", short[2], None, f"/{short[3]}"
    scheme = scheme.lower()
    shown_port = f":{port}" if port and port != _PORTS.get(scheme) else ""
    plain = re.sub(r"/+", "/", path).rstrip("/").removesuffix(".git").rstrip("/")
    return f"{scheme}://{host.lower()}{shown_port}{plain}"


def is_loopback(host: str) -> bool:
    """Returns whether a host, as a name or an address, is always this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local(address: str) -> bool:
    """Returns whether host:port or unix:PATH is an address of this machine that no other machine reaches."""
    return is_socket(address) or is_loopback(address.rpartition(":")[0].strip("[]"))
