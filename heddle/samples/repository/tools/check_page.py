"""Says what is wrong with an HTML page: open tags, a missing title, files that it names but that are not there."""

import sys
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Collects the tags that are open, and the files that the page names."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = set()
        self.files = []
        self.mistakes = []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.files += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            line, _ = self.getpos()
            self.mistakes.append(f"line {line}: </{tag}> closes nothing")


def main(name):
    path = Path(name)
    page = Page()
    page.feed(path.read_text())
    page.mistakes += [f"<{tag}> is not closed" for tag in page.open]
    page.mistakes += [f"there is no <{tag}>" for tag in ("title", "body") if tag not in page.seen]
    page.mistakes += [f"{file} does not exist" for file in page.files if not (path.parent / file).exists()]
    print("\n".join(page.mistakes) or f"{name}: {len(page.seen)} kinds of tags, {len(page.files)} files, all good")
    return 1 if page.mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
