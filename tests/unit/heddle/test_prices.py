"""The table of model prices."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.config import ConfigError
from heddle.prices import Prices

MILLION = 1_000_000


def test_each_kind_of_token_has_its_price(tmp_path: Path) -> None:
    """A cost is the sum over all token kinds, in micros."""
    used = pb.Usage(
        model="claude-sonnet-4-5",
        input_tokens=MILLION,
        output_tokens=MILLION,
        cache_read_tokens=MILLION,
        cache_write_tokens=MILLION,
    )

    assert Prices.read(tmp_path).cost(used) == 22_050_000


@pytest.mark.parametrize("name", ["gpt-5", "openai/gpt-5", "gpt-5-2025-08-07", "gpt-5-20250807"])
def test_a_model_is_known_by_its_longer_names(tmp_path: Path, name: str) -> None:
    """A model is found with a provider before its name and a date after it."""
    assert Prices.read(tmp_path).cost(pb.Usage(model=name, output_tokens=1)) == 10


@pytest.mark.parametrize("name", ["", "gpt-6", "gpt-5-something"])
def test_an_unknown_model_has_no_cost(tmp_path: Path, name: str) -> None:
    """The cost of an unknown model is unknown, not zero."""
    assert Prices.read(tmp_path).cost(pb.Usage(model=name, output_tokens=1)) is None


def test_a_kind_without_a_price_makes_the_cost_unknown() -> None:
    """Only the token kinds that were used need a price."""
    prices = Prices({"small": {"input": 1}})

    assert prices.cost(pb.Usage(model="small", input_tokens=3)) == 3
    assert prices.cost(pb.Usage(model="small", input_tokens=3, output_tokens=1)) is None


def test_users_own_prices_win(tmp_path: Path) -> None:
    """HEDDLE_HOME/prices.yaml adds models and replaces shipped prices; the others stay."""
    (tmp_path / "prices.yaml").write_text(
        "gpt-5: {output: 1}\nhouse/model: {output: 0.5}\nhouse/cheap: {output: 0.01}\n"
    )
    prices = Prices.read(tmp_path)

    assert prices.cost(pb.Usage(model="gpt-5", output_tokens=MILLION)) == MILLION
    # Rounded up, also if the next lower number is nearer.
    assert prices.cost(pb.Usage(model="house/model", output_tokens=3)) == 2
    assert prices.cost(pb.Usage(model="house/cheap", output_tokens=1)) == 1
    assert prices.cost(pb.Usage(model="o3", output_tokens=MILLION)) == 8 * MILLION


@pytest.mark.parametrize(
    "text",
    [
        "- gpt-5",
        "gpt-5: 3",
        "gpt-5: {output: much}",
        "gpt-5: {out: 1}",
        "gpt-5: {output: -1}",
        "a: [b",
        "x: {input: 010}",
        "x: {input: 1_0}",
        "x: {input: 1}\nx: {input: 2}",
    ],
)
def test_a_malformed_table_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """A service does not start if it cannot read the prices."""
    (tmp_path / "prices.yaml").write_text(text)

    with pytest.raises(ConfigError, match=r"prices\.yaml"):
        Prices.read(tmp_path)


def test_an_empty_table_changes_nothing(tmp_path: Path) -> None:
    """A file that contains only comments changes nothing."""
    (tmp_path / "prices.yaml").write_text("# none yet\n")

    assert Prices.read(tmp_path).cost(pb.Usage(model="o3", output_tokens=1)) == 8


def test_the_dearest_model_is_found() -> None:
    """It is the model for which these tokens cost most; a model without their price does not count."""
    prices = Prices({"a": {"input": 1, "output": 9}, "b": {"input": 5}, "c": {"output": 4}})

    assert prices.highest(pb.Usage(input_tokens=2)) == 10
    assert prices.highest(pb.Usage(input_tokens=2, output_tokens=1)) == 11
    assert prices.highest(pb.Usage(cache_read_tokens=1)) == 0


def test_a_model_is_looked_up_by_its_whole_name_first() -> None:
    """Then without everything before the last slash, then without a date."""
    prices = Prices({"a/m": {"input": 1}, "m": {"input": 2}, "m-2025-01-01": {"input": 3}, "d": {"input": 4}})

    for model, cost in (("a/m", 1), ("b/m", 2), ("b/c/m", 2), ("x/m-2025-01-01", 3), ("x/d-20250101", 4)):
        assert prices.cost(pb.Usage(model=model, input_tokens=1)) == cost, model


@pytest.mark.parametrize("price", ["true", "1e999", ".inf", ".nan", "-0.5", "'1'"])
def test_a_price_is_a_finite_number(tmp_path: Path, price: str) -> None:
    """Zero is a price; the error names the model and the kinds of tokens."""
    (tmp_path / "prices.yaml").write_text("free: {input: 0, output: 0.0}\n")
    assert Prices.read(tmp_path).cost(pb.Usage(model="free", input_tokens=9)) == 0

    (tmp_path / "prices.yaml").write_text(f"bad: {{input: {price}, output: 1}}\n")
    with pytest.raises(
        ConfigError, match=r"'bad' must have prices .*\(input, output, cache_read, cache_write\)"
    ):
        Prices.read(tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A folder of that name and text that is not UTF-8 are errors; a missing file is none."""
    (tmp_path / "prices.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        Prices.read(tmp_path)
    (tmp_path / "prices.yaml").rmdir()
    (tmp_path / "prices.yaml").write_bytes(b"\xff\xfe: {input: 1}")
    with pytest.raises(ConfigError, match="cannot be read"):
        Prices.read(tmp_path)
