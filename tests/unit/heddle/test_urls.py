"""URLs of repositories: what names the same one, and what may be shown."""

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
    """Login, default port, slashes, the ending and ssh's short form make no other repository."""
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
    """Another protocol, port or path may lead to another repository."""
    assert urls.identity(other) != urls.identity("https://example.com/app")


@pytest.mark.parametrize("path", ["/home/me/app", "app", "./a:b", "../x", "/srv/git@host:app"])
def test_paths_are_no_urls(path: str) -> None:
    """What begins like a path is one."""
    assert not urls.is_url(path)


@pytest.mark.parametrize(
    "url", ["https://me:s3cret@example.com/app", "ext::sh -c x://y", "ftp://example.com/app"]
)
def test_what_is_not_cloned_is_said_without_its_password(url: str) -> None:
    """A password is refused and not repeated; so is a protocol that Heddle does not speak."""
    assert urls.is_url(url)
    with pytest.raises(HeddleError) as raised:
        urls.identity(url)
    assert "s3cret" not in str(raised.value)
    assert "s3cret" not in urls.redacted(f"fatal: unable to access '{url}'")
