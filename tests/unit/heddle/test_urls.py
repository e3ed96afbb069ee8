"""Repository URLs: which are equal, and how they are shown."""

import pytest

from heddle import urls
from heddle.errors import HeddleError


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://Example.com/team/app.git", "https://me@example.com:443/team//app/"),
        ("git@example.com:team/app.git", "ssh://git@example.com:22/team/app"),
        ("file:///srv/app.git", "file:///srv/app/"),
    ],
)
def test_spellings_of_one_repository(one: str, other: str) -> None:
    """Login, default port, slashes, suffix and ssh's short form do not change the repository."""
    assert urls.identity(one) == urls.identity(other)


@pytest.mark.parametrize(
    "other",
    [
        "http://example.com/app",
        "https://example.com:8443/app",
        "https://example.com/App",
        "git@example.com:app",
    ],
)
def test_other_repositories(other: str) -> None:
    """A different protocol, port or path may be a different repository."""
    assert urls.identity(other) != urls.identity("https://example.com/app")


@pytest.mark.parametrize("path", ["/home/me/app", "app", "./a:b", "../x", "/srv/git@host:app"])
def test_paths_are_no_urls(path: str) -> None:
    """Text that begins like a path is not a URL."""
    assert not urls.is_url(path)


@pytest.mark.parametrize(
    "url", ["https://me:s3cret@example.com/app", "ext::sh -c x://y", "ftp://example.com/app"]
)
def test_what_is_not_cloned_is_said_without_its_password(url: str) -> None:
    """A URL with a password is refused without repeating it; so is an unsupported protocol."""
    assert urls.is_url(url)
    with pytest.raises(HeddleError) as raised:
        urls.identity(url)
    assert "s3cret" not in str(raised.value)
    assert "s3cret" not in urls.redacted(f"fatal: unable to access '{url}'")


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://Example.com:80//a//b.git/", "http://example.com/a/b"),
        ("git://example.com:9418/a", "git://example.com/a"),
        ("ssh://git@example.com:2222/a.git", "ssh://example.com:2222/a"),
        ("git@Example.com:a/b.git", "ssh://example.com/a/b"),
    ],
)
def test_the_form_that_is_compared(url: str, canonical: str) -> None:
    """The default port of each protocol is left out, and any other stays; slashes before the path stay one."""
    assert urls.identity(url) == canonical


@pytest.mark.parametrize("url", ["https://example.com/a", "example.com:a", "x://y"])
def test_each_form_of_a_url_is_one(url: str) -> None:
    """A protocol, the short form of ssh and an unknown protocol are all recognized."""
    assert urls.is_url(url)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 (compared, not listened on)
        ("192.0.2.7", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, *, loopback: bool) -> None:
    """Every loopback address counts, of the names only localhost, and text that is neither does not."""
    assert urls.is_loopback(host) is loopback


def test_a_repository_of_another_worker_has_a_url_of_its_own() -> None:
    """It names the worker and the path, whatever is in it, and is compared as it is."""
    for path in ("/home/ada/app", "/srv/a b#c?d%20é"):
        url = urls.of_worker("w1", path)
        assert urls.is_url(url)
        assert urls.is_of_worker(url)
        assert urls.worker_and_path(url) == ("w1", path)
        assert urls.identity(url) == url
    assert not urls.is_of_worker("https://example.com/app")


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("unix:/home/ada/.heddle/run/agent.sock", True),
        ("127.0.0.1:7400", True),
        ("localhost:7400", True),
        ("[::1]:7400", True),
        ("10.0.0.1:7400", False),
        ("[2001:db8::1]:7400", False),
        ("heddle.example.com:7400", False),
    ],
)
def test_addresses_of_this_machine(address: str, local: bool) -> None:
    """Sockets and loopback addresses, also of IPv6, are reached by no other machine."""
    assert urls.is_local(address) == local
