"""Agents' output is only shown: nothing executes, nothing leaves the machine and nothing freezes."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.servers import Servers
from tests.e2e.waits import wait_until

MARKUP = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script><svg onload="window.pwned=1">'
    " [a](javascript:window.pwned=1) ![b](https://example.com/spy.png) [c](data:text/html,x)"
)
# One reverses the order of the following text; one is invisible within a word.
BIDI = "\u202eevil"
ZERO_WIDTH = "pay\u200bload"
ANSI = r"printf '\033[31mre\033[0md \033]0;title\007<b>bold</b>\n'"
NO_TEXT = r"printf 'bad \377\376 bytes\n'"

# Pictures that would fill the memory: one with its real size in the header, one with a false size.
BOMB = """
import os, struct, zlib
def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def picture(width, height, pixels):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(pixels), 9)
    return bytes([137]) + b"PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
os.makedirs(".heddle/screenshots", exist_ok=True)
open(".heddle/screenshots/huge.png", "wb").write(picture(60000, 60000, 1000))
open(".heddle/screenshots/liar.png", "wb").write(picture(9, 9, 30000000))
"""

PLAN = f"""
name: Hostile
epics:
  - key: words
    title: Words
    tasks:
      - key: one
        title: All of it
        prompt: p
        checks: [{{name: tests, run: {json.dumps(f"echo '{MARKUP}'; printf '{BIDI}'")}}}]
        script:
          - think: {json.dumps(f"{MARKUP} {BIDI}")}
          - plan: {{steps: [{json.dumps(MARKUP)}, {json.dumps(ZERO_WIDTH)}]}}
          - say: {json.dumps(f"{MARKUP} {BIDI}")}
          - say: {json.dumps(ZERO_WIDTH)}
          - run: {json.dumps(ANSI)}
          - run: {json.dumps(NO_TEXT)}
          - run: {json.dumps(f"echo '{MARKUP}' 1>&2; false")}
          - write: {{path: "a<b>.html", text: {json.dumps(MARKUP)}}}
          - screenshot: {json.dumps(MARKUP)}
          - usage: {{model: {json.dumps(MARKUP)}, input_tokens: 1, output_tokens: 1, cost_usd: 0.5}}
          - run: {json.dumps(f"python3 -c '{BOMB}'")}
          - say: The pictures are taken.
      - key: two
        title: A question
        prompt: p
        script: [{{ask: {json.dumps(f"{MARKUP} {BIDI}")}}}]
  - key: lines
    title: Lines
    tasks:
      - key: long
        title: One long line
        prompt: p
        script:
          - run: head -c 5000000 /dev/zero | tr '\\0' x; echo; echo after the long line
      - key: many
        title: Many lines
        prompt: p
        script: [{{ask: Shall I flood?}}, {{flood: {{lines: 100000, width: 60}}}}, {{say: The flood is over.}}, {{wait: 30m}}]
"""


@pytest.fixture(scope="module")
def hostile(runs: Runs) -> Iterator[str]:
    name = runs.start(PLAN)
    runs.wait_for(f"{name}/epics/words/tasks/two/attempts/1", "waiting")
    runs.wait_for(f"{name}/epics/lines/tasks/many/attempts/1", "waiting")
    yield name
    runs.cancel(name)


def test_markup_is_text_on_every_page_and_tab(page: Page, servers: Servers, hostile: str) -> None:
    """HTML, scripts, javascript: links and remote pictures have no effect; no request leaves the machine."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    session = f"{hostile}/epics/words/tasks/one/attempts/1"
    tabs = ("current", "history", "logs", "screenshots", "quality", "costs")
    asking = f"{hostile}/epics/words/tasks/two/attempts/1"
    for path in (
        *(f"{session}?tab={tab}" for tab in tabs),
        asking,
        hostile,
        f"{hostile}/changes?of=epics/words",
    ):
        page.goto(f"/{path}")
        if "history" not in path:
            expect(page.get_by_text("onerror=").first).to_be_attached()
        page.evaluate(
            "document.querySelectorAll('dialog.session details').forEach((it) => { it.open = true })"
        )
        assert page.evaluate("window.pwned") is None, path
        obeyed = 'a[href^="javascript"], a[href^="data"], img[src^="http"]:not([src*="/api/"]), img[src="x"], svg[onload]'
        assert page.locator(obeyed).count() == 0, path
    page.keyboard.press("a")
    expect(page.locator(".attention-item", has_text="onerror=").first).to_be_visible()
    assert page.evaluate("window.pwned") is None
    assert not [url for url in asked if not url.startswith((servers.url, "data:", "blob:"))]


def test_hidden_characters_are_seen(page: Page, hostile: str) -> None:
    """Characters that reorder or hide text are visible; terminal codes and invalid bytes hide no text."""
    page.goto(f"/{hostile}/epics/words/tasks/one/attempts/1")
    stream = page.locator(".stream")
    expect(stream.get_by_text("\u2039202e\u203aevil").first).to_be_visible()
    expect(stream.get_by_text("pay\u2039200b\u203aload")).to_be_visible()
    page.locator("#tab-logs").click()
    for term, shown in (("red <b>bold</b>", "red <b>bold</b>"), ("bad", "bad \ufffd\ufffd bytes")):
        page.get_by_label("Search in the log").fill(term)
        expect(page.locator(".log-row.is-hit .log-text")).to_have_text(re.compile(re.escape(shown)))


@pytest.mark.complains("Content Security Policy|ERR_BLOCKED_BY_CSP")
def test_the_page_itself_may_load_nothing_from_elsewhere(page: Page) -> None:
    """Even if markup got through, the browser would refuse to load, send or embed anything for it."""
    page.goto("/")
    refused = page.evaluate(
        """async () => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
          const image = new Image();
          image.src = "https://example.com/spy.png";
          await fetch("https://example.com/").catch(() => {});
          document.body.append(Object.assign(document.createElement("iframe"), { src: "https://example.com/" }));
          document.body.append(Object.assign(document.createElement("script"), { src: "https://example.com/x.js" }));
          for (let tries = 0; tries < 300 && seen.length < 4; tries++) await new Promise((resolve) => setTimeout(resolve, 100));
          return seen.sort();
        }"""
    )
    assert refused == ["connect-src", "frame-src", "img-src", "script-src-elem"]


def test_pictures_that_would_fill_the_memory_are_left_out(page: Page, hostile: str) -> None:
    """A picture that is too large is named in the log; one with a false size uses at most its real size."""
    page.goto(f"/{hostile}/epics/words/tasks/one/attempts/1?tab=logs")
    page.get_by_label("Search in the log").fill("huge.png")
    expect(page.locator(".log-row.is-hit.level-system")).to_be_visible()
    page.locator("#tab-screenshots").click()
    expect(page.locator(".shot")).to_have_count(2)
    sizes = page.locator(".shot img").evaluate_all(
        "all => all.map((it) => it.naturalWidth * it.naturalHeight)"
    )
    assert max(sizes) <= 640 * 360


def test_a_line_of_five_megabytes_freezes_nothing(page: Page, hostile: str) -> None:
    """A line of 5 MB is cut in the list and can be opened, and the next lines follow it."""
    page.goto(f"/{hostile}/epics/lines/tasks/long/attempts/1?tab=logs")
    page.get_by_label("Search in the log").fill("xxxx")
    row = page.locator(".log-row", has_text="xxxx").first
    expect(row).to_be_visible()
    assert len(row.inner_text()) < 3000
    row.click()
    expect(page.get_by_role("button", name="Copy line")).to_be_visible()
    page.get_by_label("Search in the log").fill("after the long line")
    expect(page.locator(".log-row.is-hit").first).to_be_visible()
    page.locator("#tab-current").click()
    expect(page.locator(".tool", has_text="head -c")).to_be_visible()
    page.locator("#tab-costs").click()
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()


def test_a_flood_of_lines_is_read_while_it_comes(page: Page, runs: Runs, hostile: str) -> None:
    """While 100,000 lines arrive, the view stays still and tabs respond; at the end all can be searched."""
    attempt = f"{hostile}/epics/lines/tasks/many/attempts/1"
    page.goto(f"/{attempt}?tab=logs")
    box = page.locator(".rows-box")
    expect(page.locator(".log-row").first).to_be_visible()
    question = runs.get(attempt)["summary"]["waiting"]["id"]
    runs.post(f"{attempt}:resolve", approval_id=question, approved=True)
    wait_until(page, "document.querySelector('.rows-space').offsetHeight > 20000")
    box.evaluate("it => { it.scrollTop = 4000 }")
    # "Newest" if all lines have come already.
    expect(page.get_by_role("button", name=re.compile("new$|^Newest$"))).to_be_visible()
    reading = page.locator(".log-row").nth(25).inner_text()
    expect(page.get_by_text(re.compile("^100,0[0-9]{2} lines$"))).to_be_visible(timeout=60_000)
    assert box.evaluate("it => it.scrollTop") == 4000
    assert page.locator(".log-row").nth(25).inner_text() == reading
    page.get_by_label("Search in the log").fill("The flood is over.")
    expect(page.locator(".log-row.is-hit")).to_be_visible()
    page.locator("#tab-current").click()
    expect(page.locator(".stream").get_by_text("The flood is over.")).to_be_visible()
