"""Terminal output contains no control characters and nothing that the terminal cannot encode."""

import io
import json

import pytest
from rich.table import Table

from heddle.cli.console import safe_output
from heddle.cli.console.safe_output import SafeConsole, SafeText, prepare, takes_utf8, visible, visible_json

HOSTILE = "a\x1b[31m\x1b]0;b\x07\x9b2J\x7fc\u202ed\u2066e\u200f\u061c\u2028\ufeff\U000e0041"
SHOWN = r"a\x1b[31m\x1b]0;b\x07\u009b2J\u007fc\u202ed\u2066e\u200f\u061c\u2028\ufeff\U000e0041"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, SHOWN),
        ("tab\tline\n Zürich 界 👩‍🚀 שלום", "tab\tline\n Zürich 界 👩‍🚀 שלום"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_what_a_terminal_would_obey_is_visible(text: str, shown: str) -> None:
    """Escapes, bidi marks and half characters are made visible; languages and emoji stay."""
    assert visible(text) == shown
    assert visible(shown) == shown


def test_json_means_the_same() -> None:
    """JSON keeps its meaning and contains no character that controls a terminal."""
    text = visible_json(json.dumps({"a": HOSTILE + "é"}, ensure_ascii=False))
    assert json.loads(text) == {"a": HOSTILE + "é"}
    assert visible(text) == text
    assert "é" in text


def test_a_console_shows_whatever_it_is_given() -> None:
    """Lines, tables and cells are made visible; the console's own colors stay."""
    stream = io.StringIO()
    console = SafeConsole(
        file=stream, highlight=False, force_terminal=True, color_system="standard", width=300
    )
    console.print(HOSTILE, markup=False, soft_wrap=True)
    table = Table("TITLE")
    table.add_row(SafeText("x\u202ey", style="red"))
    console.print(table)
    said = stream.getvalue()
    assert r"\x1b]0;b" in said
    assert r"x\u202ey" in said
    assert not set(said) & set("\u202e\u2066\x9b\x07\x7f")
    assert "\x1b[31m" in said  # the table's own red


def test_a_stream_that_is_not_utf8() -> None:
    """Characters that a stream cannot encode become a substitute or an escape; all others stay."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    assert not takes_utf8(stream)
    prepare(stream)
    stream.write("✓ ok … 3 · 4 ≥ Zürich \U0001f680 caf\udce9")
    stream.flush()
    assert raw.getvalue() == rb"+ ok ... 3 | 4 >= Z\u00fcrich \U0001f680 caf\xe9"
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="UTF-8")
    assert takes_utf8(utf8)
    assert not takes_utf8(io.StringIO())
    assert safe_output.visible("plain") == "plain"
