"""Which host a program contacts for a URL."""

import pytest

from heddle.plan.fetched_hosts import normal, possible, unambiguous, within
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


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://example.com/", "example.com"),
        (" https://example.com/", "example.com"),
        (" example.com/x", "example.com"),
        ("https://user@example.com", "example.com"),
        ("https://evil.org/@example.com", "evil.org"),
        ("https://evil.org?a@example.com", "evil.org"),
        ("gopher://example.com\\x", "example.com"),
        ("ssh://git@example.com:22/a.git", "example.com"),
        ("https://example.com\\@evil.org/", "example.com evil.org"),
        ("https://a@example.com@evil.org", "example.com evil.org"),
        ("https://a@example.com:80@evil.org//x", "example.com evil.org"),
        ("https://a@example.com@[x/", "example.com"),
        ("!https://example.com", "!https"),
        (" https:\\\\example.com", "example.com"),
    ],
)
def test_finds_all_hosts_that_programs_read(url: str, hosts: str) -> None:
    """A URL names the hosts that some program reads in it, and none from its path, its query or its user."""
    assert possible(url) == set(hosts.split())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https://[::g]/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://xn--\u00fc.example/",
        "https://\ud800.example/",
        "https://1.2.3.4.5/",
        "https://-1.1/",
    ],
)
def test_finds_no_host_in_an_invalid_url(url: str) -> None:
    """A URL with an invalid host has none: it is neither allowed nor known to be harmless."""
    assert possible(url) == set()
    assert unambiguous(url) == ""
    assert EXAMPLE.denial("WebFetch", url) is Denial.MAYBE


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.772", "1.2.3.4"),
        ("1.131844", "1.2.3.4"),
        ("16909060", "1.2.3.4"),
        ("0x01.02.0x3.4", "1.2.3.4"),
        ("0x.0.00.1", "0.0.0.1"),
        ("0x7F.1", "127.0.0.1"),
        ("255.255.255.255", "255.255.255.255"),
        ("256.255.255.255", ""),
        ("255.255.256.255", ""),
        ("255.255.255.256", ""),
        ("1.2.65535", "1.2.255.255"),
        ("1.2.65536", ""),
        ("1.16777215", "1.255.255.255"),
        ("1.16777216", ""),
        ("4294967295", "255.255.255.255"),
        ("4294967296", ""),
        ("1.2.3.4.5", ""),
        ("1.2.3.4.0", ""),
        ("127.0.0.08", ""),
        ("127.0.0.010", "127.0.0.8"),
        ("1..1", ""),
        ("a.1", ""),
        ("-1.1", ""),
        ("+1.1", ""),
        ("1_0.1", ""),
        ("0x0x1.1", ""),
        ("0xg.1", ""),
        ("[::FFFF:1.2.3.4]", "::ffff:102:304"),
        ("0:0::1", "::1"),
        ("[::g]", ""),
        ("a:b", ""),
        ("1.a", "1.a"),
        ("1.2.3.4.", "1.2.3.4"),
    ],
)
def test_an_address_has_one_form(written: str, address: str) -> None:
    """Every form of an IPv4 address that the URL Standard knows is the same address; any other is invalid."""
    assert normal(written) == address


@pytest.mark.parametrize("domain", ["", "exam ple.com", "%", "[::g]", "example.com/x"])
@pytest.mark.parametrize("host", ["example.com", "example.com.", ""])
def test_an_invalid_domain_has_no_hosts(domain: str, host: str) -> None:
    """A pattern with a domain that no host can have covers nothing."""
    assert not within(host, domain)


@pytest.mark.parametrize(
    ("host", "domain", "inside"),
    [
        ("example.com", "example.com", True),
        ("a.b.example.com", "EXAMPLE.com.", True),
        ("badexample.com", "example.com", False),
        ("example.com", "docs.example.com", False),
        ("example.com.evil.org", "example.com", False),
        ("", "example.com", False),
        ("1.2.3.4", "3.4", False),
    ],
)
def test_what_is_within_a_domain(host: str, domain: str, inside: bool) -> None:
    """A domain has itself and its subdomains, and not the hosts that only look similar."""
    assert within(host, domain) is inside
