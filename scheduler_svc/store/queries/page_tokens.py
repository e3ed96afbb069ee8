"""Page sizes within limits, and page tokens, which mark the start of the next page."""

import base64
from typing import Final

from heddle.errors import invalid_field

_SEPARATOR: Final = "\x1f"


def page_size(asked: int, default: int, most: int) -> int:
    """Returns the number of entries of a page; raises INVALID_FIELD for a negative number."""
    if asked < 0:
        raise invalid_field("page_size", "must not be negative")
    return min(asked or default, most)


def token(*values: str | int) -> str:
    """Returns an opaque token for the position of the last entry."""
    return base64.urlsafe_b64encode(_SEPARATOR.join(map(str, values)).encode()).decode()


def texts(page_token: str, count: int) -> list[str] | None:
    """Returns the values of a token; None for the first page. Raises INVALID_FIELD."""
    if not page_token:
        return None
    try:
        values = base64.b64decode(page_token, altchars=b"-_", validate=True).decode().split(_SEPARATOR)
    except ValueError:
        values = []
    if len(values) != count:
        raise _malformed()
    return values


def numbers(page_token: str, count: int) -> list[int] | None:
    """Returns the values of a token of numbers; None for the first page. Raises INVALID_FIELD."""
    values = texts(page_token, count)
    if values is None:
        return None
    try:
        return [int(value) for value in values]
    except ValueError:
        raise _malformed() from None


def _malformed() -> Exception:
    return invalid_field("page_token", "give the next_page_token of the page before, unchanged")
