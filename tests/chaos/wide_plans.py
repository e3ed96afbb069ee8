"""The runs of a simulated day, and when they are created."""

import random
from typing import Final

from heddle import pb
from heddle.names import EpicName, RunName, TaskName
from tests.chaos.place_faults import GPU, NONE
from tests.chaos.placed_rows import Epic, Run, Task

_SIZES: Final = (2, 5, 10, 20, 40, 80)


def runs_of(
    chance: random.Random, epics: int, width: int, ticks: int, *, labels: bool
) -> list[tuple[int, Run]]:
    """Returns the runs, together with `epics` epics, and the tick of each; the first is as wide as `width` places.

    `labels`: some epics ask for a label.
    """
    sizes = [min(width, epics)]
    while (left := epics - sum(sizes)) > 0:
        sizes.append(min(chance.choice(_SIZES), left))
    arrivals = [0, *sorted(chance.randrange(max(ticks, 1)) for _ in sizes[1:])]
    return [
        (tick, _run(chance, number, size, labels=labels))
        for number, (tick, size) in enumerate(zip(arrivals, sizes, strict=True))
    ]


def _run(chance: random.Random, number: int, size: int, *, labels: bool) -> Run:
    name = RunName(f"r{number}")
    found: dict[str, Epic] = {}
    for index in range(size):
        epic = EpicName(name.run, f"e{index}")
        depends_on = (f"e{chance.randrange(index)}",) if index and chance.random() < 0.05 else ()
        tasks = [Task(TaskName(*epic, f"t{each}")) for each in range(chance.choice((1, 1, 1, 2, 3)))]
        wanted = GPU if labels and chance.random() < 0.05 else NONE
        # Failed tasks would end a run this wide early.
        ends = chance.choice(pb.OnFailure.values()) if number else pb.ON_FAILURE_CONTINUE
        found[epic.epic] = Epic(epic, index, tasks, depends_on, ends, wanted)
    parallel = max(1, size * chance.randint(1, 4) // 4) if number else size
    return Run(name, "", parallel, chance.choice((0, 1, 2)), found)
