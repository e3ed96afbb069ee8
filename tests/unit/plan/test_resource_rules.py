"""Resources of epics, in the quantities of Kubernetes."""

import pytest

from heddle.plan.validation import resource_rules


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"cpu": "2", "memory": "8Gi", "ephemeral-storage": "20G"},
        {"cpu": "500m", "memory": "1e9"},
        {"cpu": "0.5", "memory": "1.5Gi"},
        {"cpu": ".5", "memory": "2048Ki"},
        {"nvidia.com/gpu": "1", "example.com/fpga.v2": "2"},
    ],
)
def test_quantities_of_kubernetes_are_taken(found: dict[str, str]) -> None:
    """Numbers with decimal, binary and exponent suffixes, of the usual resources and of devices."""
    assert list(resource_rules.problems(found)) == []


@pytest.mark.parametrize(
    ("name", "quantity", "says"),
    [
        ("gpu", "1", "'gpu' is not a resource; use cpu, memory, ephemeral-storage or the name of a device"),
        ("Nvidia.com/gpu", "1", "is not a resource"),
        ("cpu", "two", "'two' is not a quantity; write it as Kubernetes does: 2, 0.5, 500m, 8Gi"),
        ("memory", "8GB", "'8GB' is not a quantity"),
        ("memory", "8 Gi", "'8 Gi' is not a quantity"),
        ("cpu", "-1", "'-1' is not a quantity"),
        ("cpu", "", "'' is not a quantity"),
        ("cpu", "\u0662", "is not a quantity"),
        ("cpu", "1e999", "is not a quantity"),
        ("cpu", "0", "'0' must be more than 0"),
        ("cpu", "1u", "'1u' is less than 1m"),
        ("memory", "500m", "'500m' is less than 1Mi; m means thousandths of a byte"),
        ("memory", "512", "'512' is less than 1Mi"),
        ("nvidia.com/gpu", "0.5", "'0.5' must be a whole number"),
    ],
)
def test_what_is_no_quantity_is_refused_with_its_name(name: str, quantity: str, says: str) -> None:
    """The error names the resource and the value, and says what is possible."""
    ((key, problem),) = resource_rules.problems({name: quantity})
    assert key == name
    assert says in problem


@pytest.mark.parametrize(("count", "problems"), [(16, []), (17, [("", "has 17 resources; 16 are possible")])])
def test_number_of_resources(count: int, problems: list[tuple[str, str]]) -> None:
    """A plan cannot fill the manifest of its pods."""
    many = {f"example.com/device-{number}": "1" for number in range(count)}
    assert list(resource_rules.problems(many)) == problems
