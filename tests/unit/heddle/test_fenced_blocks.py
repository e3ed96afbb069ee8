"""Fenced blocks are found in what agents write, and written for them."""

import pytest

from heddle.events.fenced_blocks import Block, fenced, parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", ["a", "b"]),
        ("a\n```json\n{}\n```\nb", ["a", Block("{}\n", "json", closed=True), "b"]),
        ("```JSON lines\n{}\n```", [Block("{}\n", "json", closed=True)]),
        ("~~~\nx\n~~~~ ", [Block("x\n", "", closed=True)]),
        ("````\n```\nx\n```\n````", [Block("```\nx\n```\n", "", closed=True)]),
        ("```\nx\n    ```\n```", [Block("x\n    ```\n", "", closed=True)]),
        ("   ```\n   x\n\n   y\n   ```", [Block("x\n\ny\n", "", closed=True)]),
        ("  ```\nx\n  ```", [Block("x\n", "", closed=True)]),
        ("```\r\nx\r\n```\r\n", [Block("x\n", "", closed=True), ""]),
        ("```yaml\nx", [Block("x\n", "yaml", closed=False)]),
        ("```\nx\n``` y\n~~~", [Block("x\n``` y\n~~~\n", "", closed=False)]),
        ("``` a`b", ["``` a`b"]),
        ("", [""]),
    ],
)
def test_blocks_are_found(text: str, expected: list[str | Block]) -> None:
    """A block ends at a fence at least as long as its first one, without a word; its indent is taken off."""
    assert list(parts(text)) == expected


@pytest.mark.parametrize("text", ["x", "```\nx\n```", "`````yaml\nx\n`````\n\n"])
def test_a_written_block_is_read_back(text: str) -> None:
    """Its fence is longer than any in the text."""
    (block,) = parts(fenced(text, "yaml"))
    assert block == Block(text.rstrip() + "\n", "yaml", closed=True)
