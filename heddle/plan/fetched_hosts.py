"""The host that a program contacts for a URL, as the URL Standard (WHATWG) determines it.

Programs differ: to allow a host, its URL must mean the same to all of them; to deny one, it is enough that one
of them contacts it.
"""

import ipaddress
import re
import unicodedata
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_FETCHED: Final = frozenset({"http", "https", "ws", "wss", "ftp"})
_EDGES: Final = "".join(map(chr, range(0x21)))
_REMOVED: Final = str.maketrans("", "", "\t\r\n")
_AUTHORITY_END: Final = re.compile(r"[/\\?#]")
_PLAIN: Final = re.compile(
    r"https?://(?P<authority>[^\s/\\?#@%]+)(?:[/?#][^\\\x00-\x20\x7f]*)?", re.IGNORECASE
)
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
_PORT: Final = re.compile(r":\d*\Z")
# A part of an IPv4 address. Python's own numbers may also have signs and underscores.
_NUMBER: Final = re.compile(r"0x(?P<hex>[0-9a-f]*)|0(?P<octal>[0-7]+)|(?P<decimal>0|[1-9][0-9]*)")


def unambiguous(url: str) -> str:
    """Returns the host of a URL that every program understands alike; empty for all others."""
    url = url.strip(" ")
    if not _PLAIN.fullmatch(url):
        return ""
    host = _standard(url)
    return host if host in _other(url) else ""


def possible(url: str) -> frozenset[str]:
    """Returns the hosts that programs may contact for this URL; empty if it has none."""
    urls = (url, f"https://{url.lstrip(_EDGES)}") if not _SCHEME.match(url.lstrip(_EDGES)) else (url,)
    found = {_standard(each) for each in urls} | {host for each in urls for host in _other(each)}
    return frozenset(found - {""})


def within(host: str, domain: str) -> bool:
    """Returns whether `host` is `domain` or a subdomain of it; `domain` as people write it."""
    wanted = normal(domain)
    return bool(host and wanted) and (host == wanted or host.endswith(f".{wanted}"))


def normal(host: str) -> str:
    """Returns the form in which hosts are compared: lower case, ASCII, one form per address; empty if invalid."""
    if host.startswith("[") or host.count(":") > 1:
        try:
            return ipaddress.IPv6Address(host.strip("[]")).compressed
        except ValueError:
            return ""
    host = unquote(host, errors="replace")
    host = host.lower() if host.isascii() else _ascii(host)
    host = host.removesuffix(".")
    if not host or _FORBIDDEN.search(host):
        return ""
    last = host.rpartition(".")[2]
    if last.isdecimal() or re.fullmatch(r"0x[0-9a-f]*", last):
        return _address(host)
    return host


def _standard(url: str) -> str:
    url = url.strip(_EDGES).translate(_REMOVED)
    scheme = _SCHEME.match(url)
    if not scheme or scheme[1].lower() not in _FETCHED:
        return ""
    authority = _AUTHORITY_END.split(url[scheme.end() :].lstrip("/\\"), maxsplit=1)[0]
    return normal(_PORT.sub("", authority.rpartition("@")[2]))


def _other(url: str) -> frozenset[str]:
    """Returns the host as programs see it that follow RFC 3986 or 2396, with its odd readings."""
    found = set()
    for text in {url, url.strip(_EDGES)}:
        with suppress(ValueError):
            found.add(normal(urlsplit(text).hostname or ""))
        # Some take the first of several @ for the end of the user's name, and some none of them.
        authority = re.split(r"[/?#]", text.partition("//")[2], maxsplit=1)[0]
        for each in (authority.partition("@")[2], authority.partition("@")[0] if "\\" in authority else ""):
            found.add(normal(_PORT.sub("", re.split(r"[@\\]", each, maxsplit=1)[0])))
    return frozenset(found)


def _ascii(host: str) -> str:
    import idna  # noqa: PLC0415 (its tables are large, and few hosts need them)

    host = re.sub("[\u3002\uff0e\uff61]", ".", unicodedata.normalize("NFC", host))
    try:
        return idna.encode(host, uts46=True).decode().lower()
    except UnicodeError:
        return ""


def _address(host: str) -> str:
    """Returns an IPv4 address in its usual form, also for numbers like 0x7f.1; empty if invalid."""
    numbers = []
    for part in host.split("."):
        found = _NUMBER.fullmatch(part)
        if not found:
            return ""
        base = 16 if found["hex"] is not None else 8 if found["octal"] else 10
        numbers.append(int(found["hex"] or found["octal"] or found["decimal"] or "0", base))
    *front, last = numbers
    if len(numbers) > 4 or any(each > 255 for each in front) or last >= 256 ** (5 - len(numbers)):
        return ""
    value = last + sum(each << 8 * (3 - place) for place, each in enumerate(front))
    return str(ipaddress.IPv4Address(value))
