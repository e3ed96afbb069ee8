"""Arguments that several commands share."""

from typing import Annotated

import typer

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run, as listed by `heddle ls`.")]
EpicArgument = Annotated[str, typer.Argument(metavar="EPIC", help="The epic, as RUN/EPIC.")]
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="The task, as RUN/EPIC/TASK.")]
PlanInputs = Annotated[
    list[str], typer.Option("--input", metavar="NAME=VALUE", help="A value of an input of the plan.")
]
AttemptArgument = Annotated[
    str,
    typer.Argument(
        metavar="ATTEMPT", help="The attempt, as RUN/EPIC/TASK/N; without N, the latest of the task."
    ),
]
