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
