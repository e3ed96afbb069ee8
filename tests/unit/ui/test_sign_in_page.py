"""The page that a sign-in link leads to."""

import httpx
import pytest
from starlette.requests import Request

from ui_svc.endpoints.sign_in import page_after


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("", "/"),
        ("/", "/"),
        ("/runs/todo-list-7bohh", "/runs/todo-list-7bohh"),
        ("/runs/a.b-c_d~e/report", "/runs/a.b-c_d~e/report"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("evil", "/"),
        ("/a?b", "/"),
        ('/"><script>', "/"),
        ("/a\n", "/"),
    ],
)
def test_a_link_leads_to_a_page_of_this_web_app_only(asked: str, shown: str) -> None:
    """A path is shown after the sign-in; anything that could leave the web app leads to the list of runs."""
    assert page_after(Request({"type": "http", "query_string": _query(asked), "headers": []})) == shown


def _query(page: str) -> bytes:
    return str(httpx.QueryParams({"code": "x", "next": page})).encode()
