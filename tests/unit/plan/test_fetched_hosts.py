"""Which host a program contacts for a URL."""

import pytest

from heddle.plan.fetched_hosts import unambiguous
from heddle.plan.permission_patterns import Denial, Pattern

EXAMPLE = Pattern.parse("WebFetch(domain:example.com)")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://docs.example.com:8443/a?b=c#d",
        "HTTPS://EXAMPLE.COM/",
        "https://example.com./",
        "https://example.com/a@b",
    ],
)
def test_allows_the_host_and_its_subdomains(url: str) -> None:
    """A usual URL of the host is allowed, in upper case and with a final dot as well."""
    assert EXAMPLE.allows("WebFetch", url)
    assert EXAMPLE.denies("WebFetch", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com\\@example.com/x",
        "https://example.com\\@evil.com",
        "https://example.com@evil.com",
        "https://evil.com@example.com",
        "https://evil.com#@example.com",
        "https://evil.com/\\example.com",
        "https://evil.com?.example.com",
        "http://evil.com:80\\@example.com",
        "https://evil.com\t@example.com/",
        "https://exam\tple.com/",
        "https:\\\\evil.com\\@example.com/",
        "https:/\\evil.com\\@example.com/",
        "https:example.com",
        "https://example.com.evil.com",
        "https://badexample.com",
        "https://ex%61mple.com",
        "https://example.com%2f.evil.com",
        "//example.com",
        "example.com",
        "ftp://example.com",
        "javascript://example.com/%0aalert(1)",
        "https://[::1]/",
        "",
    ],
)
def test_allows_no_url_that_programs_read_differently(url: str) -> None:
    """A URL is only allowed if every program reads the same host in it."""
    assert not EXAMPLE.allows("WebFetch", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com\\@evil.org/",
        "https://evil.org\\@example.com/",
        "https://user@example.com",
        "https:example.com",
        "https:\\\\example.com",
        "https:///example.com",
        " https://exam\nple.com",
        "https://ex%61mple.com",
        "https://\uff25\uff38\uff21\uff2d\uff30\uff2c\uff25\u3002com",
        "https://exam\u00adple.com",
        "example.com/x",
        "//example.com",
    ],
)
def test_denies_the_host_in_every_disguise(url: str) -> None:
    """A denied host stays denied if some program reads it in the URL."""
    assert EXAMPLE.denies("WebFetch", url)


def test_asks_about_a_url_without_a_host() -> None:
    """A URL in which no host is found may be a denied one."""
    assert EXAMPLE.denial("WebFetch", "https://") is Denial.MAYBE
    assert EXAMPLE.denial("WebFetch", "https://example.org/") is Denial.NO


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ("127.0.0.1", "http://127.1/"),
        ("127.0.0.1", "http://0x7f000001/"),
        ("127.0.0.1", "http://2130706433/"),
        ("127.0.0.1", "http://0177.0.0.1/"),
        ("[::1]", "http://[0:0:0:0:0:0:0:1]/"),
        ("::1", "http://[::1]:80/"),
        ("bücher.example", "http://xn--bcher-kva.example/"),
        ("xn--bcher-kva.example", "http://BÜCHER.example/"),
    ],
)
def test_compares_hosts_in_one_form(domain: str, url: str) -> None:
    """Addresses and names in other alphabets are compared in the form that programs contact."""
    assert Pattern.parse(f"WebFetch(domain:{domain})").denies("WebFetch", url)


def test_keeps_letters_that_programs_keep() -> None:
    """A name with ß is not the name with ss."""
    assert unambiguous("https://straße.example/") == "xn--strae-oqa.example"
