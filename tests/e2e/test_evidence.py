"""Reports of checks in the Quality tab."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs


def check(failing: list[str], covered: int, findings: list[str]) -> str:
    """Returns a command that writes three reports, and fails if a test in them does."""
    cases = "".join(f'<testcase classname="shop" name="{name}"><failure/></testcase>' for name in failing)
    lines = f'<coverage lines-covered="{covered}" lines-valid="100"/>'
    place = {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 7}}
    results = [
        {
            "ruleId": "S1",
            "level": "error",
            "message": {"text": text},
            "locations": [{"physicalLocation": place}],
        }
        for text in findings
    ]
    reports = {
        "t.xml": f'<testsuite><testcase name="ok"/>{cases}</testsuite>',
        "c.xml": lines,
        "s.json": json.dumps({"runs": [{"results": results}]}),
    }
    writes = "; ".join(f"printf %s '{text}' > {name}" for name, text in reports.items())
    return f"{writes}; exit {int('sold' in failing)}"


def a_task(key: str, run: str) -> dict[str, object]:
    reports = {"junit": "t.xml", "coverage": "c.xml", "sarif": ["*.json"]}
    return {
        "key": key,
        "title": f"The {key} task",
        "checks": [{"name": "tests", "run": run, **reports}],
        "script": [{"say": "Done."}],
    }


PLAN = json.dumps(
    {
        "name": "Evidence",
        "epics": [
            {
                "key": "shop",
                "tasks": [
                    a_task("first", check(["tolerated", "fixed"], 80, [])),
                    a_task("second", check(["tolerated", "sold"], 75, ["<b>Unsafe</b>"])),
                ],
            }
        ],
    }
)


@pytest.fixture(name="compared", scope="module")
def _compared(runs: Runs) -> str:
    name = runs.start(PLAN)
    runs.wait_for(f"{name}/epics/shop/tasks/first/attempts/1", "accepted")
    second = f"{name}/epics/shop/tasks/second/attempts/1"
    runs.wait_for(second, "failed")
    return second


def test_new_failures_come_first(page: Page, compared: str) -> None:
    """Compared with the previous task: new failures, fixed ones, coverage and findings, in this order."""
    page.goto(f"/{compared}?tab=quality")
    evidence = page.locator(".check", has_text="tests").locator(".evidence")
    expect(evidence.locator("h4")).to_have_text(
        ["New failures 1", "No longer failing 1", "Still failing 1", "Findings"]
    )
    expect(evidence.locator("ul").nth(0)).to_have_text("shop::sold")
    expect(evidence.locator("ul").nth(1)).to_have_text("shop::fixed")
    expect(evidence).to_contain_text("75.0 % (\u22125.0) of 100 lines")
    expect(evidence).to_contain_text("1 error, 0 warnings, 0 notes (+1)")
    expect(evidence.locator(".findings")).to_contain_text("error app.py:7 <b>Unsafe</b> S1")
    expect(page.get_by_text("Compared with The first task")).to_be_visible()
    expect(page.get_by_text("1 new failure", exact=True)).to_be_visible()


def test_the_first_task_has_nothing_before_it(page: Page, compared: str) -> None:
    """Failures of the first task are shown as failures, neither new nor old."""
    page.goto(f"/{compared.replace('second', 'first')}?tab=quality")
    check = page.locator(".check", has_text="tests")
    check.locator("summary").click()
    expect(check.locator(".evidence h4")).to_have_text(["Failing 2"])
    expect(page.get_by_text("Compared with")).to_have_count(0)
