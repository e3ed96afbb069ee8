"""The labels of workers."""

import pytest

from heddle.labels import problems, text


@pytest.mark.parametrize(("count", "told"), [(0, []), (32, []), (33, ["has 33 labels; 32 are possible"])])
def test_number_of_labels(count: int, told: list[str]) -> None:
    """A worker has at most 32 labels."""
    assert list(problems({f"k{number}": "v" for number in range(count)})) == told


@pytest.mark.parametrize("part", ["a", "A9", "a.b-c_d", "9", "x" * 63])
def test_labels_that_are_possible(part: str) -> None:
    """Both sides have up to 63 letters, digits and -_., and begin and end with a letter or digit."""
    assert list(problems({part: part})) == []


@pytest.mark.parametrize(
    "part", ["", "x" * 64, "-a", "a-", ".a", "a.", "_a", "a b", "ä", "a\n", "a=b", "a/b"]
)
def test_labels_that_are_not_possible(part: str) -> None:
    """A malformed key or value is named."""
    rule = "must be letters, digits and -_., at most 63 on each side"
    assert list(problems({part: "v"})) == [f"{part}=v {rule}"]
    assert list(problems({"k": part})) == [f"k={part} {rule}"]


def test_labels_are_shown_by_key() -> None:
    """The same labels are the same text."""
    assert text({"zone": "eu", "gpu": "true"}) == "gpu=true, zone=eu"
    assert text({}) == ""
