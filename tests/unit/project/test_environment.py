"""The environment of an epic's commands and agents."""

from heddle.project import environment


def test_references_become_the_epics_own() -> None:
    """${HEDDLE_…} in a value is replaced; other dollar signs are left to the shell."""
    env = {"URL": "http://localhost:${HEDDLE_PORT_2}/${USER}", "DB": "app_${HEDDLE_SLOT}"}
    assert environment.resolved(env, 3, [20000, 20001]) == {
        "URL": "http://localhost:20001/${USER}",
        "DB": "app_3",
        "HEDDLE_SLOT": "3",
        "HEDDLE_PORT": "20000",
        "HEDDLE_PORTS": "20000,20001",
        "HEDDLE_PORT_1": "20000",
        "HEDDLE_PORT_2": "20001",
    }


def test_an_epic_without_ports_has_a_slot() -> None:
    """Without ports, no variable for a port is set."""
    assert environment.resolved({}, 1, []) == {"HEDDLE_SLOT": "1"}
