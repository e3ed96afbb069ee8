"""Plans of a team's ordinary day, in the states that an operator meets: busy, failing, waiting, finished."""

import json
from typing import Any

# Key, title, and the tasks of twelve epics of one product.
EPICS = (
    ("checkout", "Checkout", ("Validate the cart", "Charge the card", "Send the receipt")),
    ("search", "Search", ("Index the catalogue", "Rank by relevance", "Suggest spellings")),
    ("accounts", "Accounts", ("Sign in by link", "Two-factor codes", "Export my data")),
    ("catalogue", "Catalogue", ("Import from the supplier", "Variants and sizes", "Image pipeline")),
    ("shipping", "Shipping", ("Carrier rates", "Labels", "Tracking page")),
    ("pricing", "Pricing", ("Tax by country", "Discount codes", "Currency rounding")),
    ("reviews", "Reviews", ("Write a review", "Moderation queue", "Stars on the listing")),
    ("mobile-api", "Mobile API", ("Token refresh", "Offline basket", "Push messages")),
    ("observability", "Observability", ("Request tracing", "Error budget page", "Slow query log")),
    ("storefront", "Storefront", ("New header", "Product page", "Dark mode")),
    ("warehouse", "Warehouse", ("Stock levels", "Pick lists", "Returns")),
    ("docs", "Documentation", ("Getting started", "API reference", "Runbooks")),
)

# The epic whose agent asks while the others work, and its question.
ASKS = ("pricing", "May prices for companies be shown without tax?")

# What depends on what, by key.
DEPENDS = {"mobile-api": ["accounts"], "storefront": ["catalogue", "reviews"]}

_TESTS = (
    "keeps_the_order",
    "refuses_an_empty_name",
    "rounds_half_up",
    "survives_a_timeout",
    "is_idempotent",
    "reads_old_records",
    "says_what_is_missing",
)

_LINES = (
    "Reading the module and its tests first.",
    "The behaviour is covered by two tests; I will add a third before I change it.",
    "The change is small: one function and its caller.",
    "Now the tests again, and the type checker.",
)


def busy() -> str:
    """Returns a plan of twelve epics that work for minutes; some have done a task already."""
    epics = [_epic(place, key, title, tasks) for place, (key, title, tasks) in enumerate(EPICS)]
    return _plan("Autumn release", epics)


def failing() -> str:
    """Returns a plan of which one task fails in every attempt, and one whose checks do not pass."""
    epics = [
        _one(
            "payments",
            "Payments",
            "Refund flow",
            [*_work(0), {"fail": "The payment provider rejects the key"}],
        ),
        _one(
            "invoices",
            "Invoices",
            "Number without gaps",
            _work(1),
            checks=[{"name": "tests", "run": "echo '1 failed: test_gap'; exit 1"}],
        ),
        _one("emails", "E-mails", "Plain-text part", _work(2)),
    ]
    return _plan("Billing", epics)


def waiting() -> str:
    """Returns a plan with two agents that ask the operator."""
    epics = [
        _one(
            "schema",
            "Schema",
            "Drop the old column",
            [*_work(3), {"ask": "Drop users.legacy_id? 1.2 million rows have it."}, {"say": "Done."}],
        ),
        _one(
            "release",
            "Release",
            "Tag the release",
            [*_work(4), {"ask": "Run: git tag v2.4.0"}, {"say": "Done."}],
        ),
        _one("changelog", "Changelog", "Collect the entries", _work(5)),
    ]
    return _plan("Release 2.4", epics)


def finished() -> str:
    """Returns a plan whose work is accepted and merged within seconds."""
    epics = [_one(key, title, tasks[0], _work(place)) for place, (key, title, tasks) in enumerate(EPICS[:4])]
    return _plan("Hot fixes", epics)


def conflicting() -> str:
    """Returns a plan of which two epics change the same lines, and the same picture, one after another."""
    base = (
        'def total(items):\n    """Returns the price of a cart."""\n    return sum(items)\n\n\n'
        "def rate(country):\n    return 0.19\n"
    )
    sides = {
        "tax": ("Tax by country", "round(sum(items) * (1 + rate(None)), 2)", "TAXES[country]"),
        "discounts": ("Discounts", "sum(items) - discount(items)", "0.07 if reduced(country) else 0.19"),
    }
    epics = [_one("cart", "Cart", "Price of a cart", [{"write": {"path": "cart.py", "text": base}}])]
    for key, (title, total, rate) in sides.items():
        script: list[dict[str, Any]] = [
            {"edit": {"path": "cart.py", "find": "sum(items)", "replace": total}},
            {"edit": {"path": "cart.py", "find": "0.19", "replace": rate}},
            {"write": {"path": "rates.json", "text": json.dumps({"by": key})}},
            {"run": f"printf '\\000{key}' > logo.png"},
        ]
        epics.append(_one(key, title, title, script) | {"depends_on": ["cart"]})
    return _plan("Prices", epics)


# What each candidate does, by its number.
TRIES = """\
printf '# Totals\\n\\nPrices are rounded once, at the end.\\n' > totals.md
case $HEDDLE_CANDIDATE in
  1) printf 'def total(items):\\n    result = 0\\n    for item in items:\\n        result += item.price\\n    return round(result, 2)\\n' > part.py ;;
  2) printf 'from decimal import Decimal\\n\\n\\ndef total(items):\\n    return sum(Decimal(item.price) for item in items)\\n' > part.py
     printf 'def test_total():\\n    assert total([]) == 0\\n' > test_part.py ;;
  3) printf 'def total(items):\\n    return sum(items)\\n' > part.py ;;
esac
"""

CHOICE = '{"best": 2, "reason": "It counts in decimals, so nothing is lost, and it has a test."}'


def tried() -> str:
    """Returns a plan with a task whose candidates wait for a choice, and one whose candidates an agent compares."""
    checks = [{"name": "tests", "run": "test $HEDDLE_CANDIDATE != 3"}]
    epics = [
        _one("totals", "Totals", "Round the totals", [], checks=checks),
        _one("receipts", "Receipts", "Round the receipts", [], checks=checks),
    ]
    for epic in epics:
        task = epic["tasks"][0]
        del task["script"]
        task |= {"agent": "command:sh tries.sh", "candidates": 3}
    epics[1]["tasks"][0]["choose"] = {"agent": "command:cat choice.json"}
    return _plan("Rounding", epics)


def drafted() -> str:
    """Returns what an agent says that has drafted a plan."""
    return _answer(
        "Billing changes in three places that do not touch each other, so these are **three epics**.",
        failing(),
    )


def planned_again() -> str:
    """Returns what an agent says that has planned again what failed."""
    plan = json.loads(failing())
    invoices = next(epic for epic in plan["epics"] if epic["key"] == "invoices")
    title = "Lock the counter of the numbers"
    invoices["tasks"].append(_task(1, title, _work(1), checks=[{"name": "tests", "run": "echo '12 passed'"}]))
    return _answer(
        "The test expects numbers **without gaps**; the first task left the counter unlocked.",
        json.dumps(plan),
    )


def _answer(reasons: str, plan: str) -> str:
    return f"{reasons}\n\n```yaml\n{json.dumps(json.loads(plan), indent=1)}\n```\n"


def _epic(place: int, key: str, title: str, tasks: tuple[str, ...]) -> dict[str, Any]:
    made = []
    for number, task in enumerate(tasks):
        # A third of the epics has finished its first task.
        done = number == 0 and place % 3 == 0
        asks = [{"ask": ASKS[1]}] if key == ASKS[0] else []
        script = _work(place + number) if done else [*_work(place + number), *asks, *_long(place, key)]
        made.append(_task(number, task, script, checks=[{"name": "tests", "run": "echo '12 passed'"}]))
    return {
        "key": key,
        "title": title,
        "touches": [f"{key}/**"],
        "depends_on": DEPENDS.get(key, []),
        "tasks": made,
    }


def _one(
    key: str, title: str, task: str, script: list[dict[str, Any]], checks: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {"key": key, "title": title, "tasks": [_task(0, task, script, checks=checks or [])]}


def _task(
    number: int, title: str, script: list[dict[str, Any]], *, checks: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "key": f"task-{number + 1}",
        "title": title,
        "prompt": f"{title}. Keep the public interface, and cover the change with tests.",
        "estimate": "8m",
        "checks": checks,
        "script": script,
    }


def _work(seed: int) -> list[dict[str, Any]]:
    """Returns the steps of a short piece of work with a change, a picture and a cost."""
    module = f"part_{seed:02}"
    return [
        {"think": "What is the smallest change that makes this true?"},
        {"say": _LINES[seed % len(_LINES)]},
        {"run": "ls; git log --oneline | head -3"},
        {"write": {"path": f"{module}.py", "text": f"def total(items):\n    return sum(items) + {seed}\n"}},
        {
            "edit": {
                "path": f"{module}.py",
                "find": "sum(items)",
                "replace": "sum(item.price for item in items)",
            }
        },
        {
            "usage": {
                "model": "sample-large",
                "input_tokens": 5200 + 90 * seed,
                "output_tokens": 900,
                "cost_usd": 0.04 + 0.003 * seed,
            }
        },
        {"screenshot": f"After step {seed + 1}"},
        {"usage": {"model": "sample-small", "input_tokens": 800, "output_tokens": 60, "cost_usd": 0.002}},
    ]


def _long(seed: int, key: str) -> list[dict[str, Any]]:
    """Returns steps that take some minutes."""
    steps: list[dict[str, Any]] = []
    for number in range(120):
        steps += [
            {"say": _LINES[(seed + number) % len(_LINES)]},
            {"run": f"echo 'tests/test_{key}.py::test_{_TESTS[(seed + 3 * number) % len(_TESTS)]} PASSED'"},
            {"wait": f"{2 + seed % 4}s"},
        ]
    return steps


def _plan(name: str, epics: list[dict[str, Any]]) -> str:
    # JSON is YAML too.
    return json.dumps({"name": name, "defaults": {"agent": "scripted", "retries": 0}, "epics": epics})
