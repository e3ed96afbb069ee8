"""Prices of models, for agents that report tokens but no cost.

prices.yaml next to this file shows the form and the sources of its figures;
HEDDLE_HOME/prices.yaml, in the same form, has the user's own prices.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from heddle import pb
from heddle.config import ConfigError
from heddle.plan.yaml.source import Source

FILE: Final = "prices.yaml"
KINDS: Final = ("input", "output", "cache_read", "cache_write")

# Providers append a release date to names of models.
_DAY: Final = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class Prices:
    """A table: US dollars per million tokens, by model and kind of token."""

    def __init__(self, models: Mapping[str, Mapping[str, float]]) -> None:
        self._models = models

    @classmethod
    def read(cls, home: Path) -> Self:
        """Returns the shipped prices, overridden by the user's own; raises ConfigError."""
        return cls({**_table(Path(__file__).with_name(FILE)), **_table(home / FILE)})

    def cost(self, usage: pb.Usage) -> int | None:
        """Returns what `usage` costs in micros; None if a price is unknown.

        A model's name may begin with its provider's ("vendor/") and end with a date.
        """
        name = usage.model.rpartition("/")[2]
        prices = (
            self._models.get(usage.model) or self._models.get(name) or self._models.get(_DAY.sub("", name))
        )
        return None if prices is None else _cost(usage, prices)

    def highest(self, usage: pb.Usage) -> int:
        """Returns the cost of `usage` in micros with the most expensive model of the table.

        The shipped table always has models with prices for all kinds of tokens.
        """
        costs = (_cost(usage, prices) for prices in self._models.values())
        return max((cost for cost in costs if cost is not None), default=0)


def _cost(usage: pb.Usage, prices: Mapping[str, float]) -> int | None:
    cost = 0.0
    for kind in KINDS:
        if tokens := getattr(usage, f"{kind}_tokens"):
            if kind not in prices:
                return None
            # Dollars per million tokens are micros per token.
            cost += tokens * prices[kind]
    # Rounded up, so that a budget is never exceeded.
    return math.ceil(cost)


def _table(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Returns the table of a file; empty if the file does not exist."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    # Read like plans: no ambiguous numbers, and no duplicate models.
    source = Source(text, "price list")
    if source.problems:
        raise ConfigError("\n".join(problem.describe(str(path)) for problem in source.problems))
    said = source.root.plain() if source.root else None
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise ConfigError(f"{path} must map models to prices, such as `gpt-5: {{input: 1.25, output: 10}}`")
    for model, prices in said.items():
        _check(path, model, prices)
    return said


def _check(path: Path, model: object, prices: object) -> None:
    good = isinstance(model, str) and isinstance(prices, dict) and prices.keys() <= set(KINDS)
    if not good or not all(_is_price(price) for price in prices.values()):  # type: ignore[attr-defined]  # a dict if good
        raise ConfigError(
            f"{path}: {model!r} must have prices in US dollars per million tokens by kind ({', '.join(KINDS)}),"
            " such as {input: 1.25, output: 10}"
        )


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
