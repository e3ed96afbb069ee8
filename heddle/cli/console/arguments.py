"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from heddle import urls
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure

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

# Options of a new run.
AgentOption = Annotated[str, typer.Option(help="Agent to use instead of the plan's default.")]
MaxParallelOption = Annotated[
    int, typer.Option(min=0, help="Maximum parallel sessions; 0: as many as there are slots.")
]
BaseOption = Annotated[
    str, typer.Option(metavar="REF", help="The commit or branch to start from. Default: HEAD.")
]
MergeIntoOption = Annotated[
    str, typer.Option(metavar="BRANCH", help="A branch to update once everything is merged.")
]
AllowDirtyOption = Annotated[
    bool, typer.Option("--allow-dirty", help="Start despite uncommitted changes; agents do not see them.")
]


def project_of(repository: str) -> str:
    """Returns a URL as it is, and a path as an absolute one; raises Failure if its name is not UTF-8."""
    if urls.is_url(repository):
        return repository
    path = str(Path(repository).expanduser().absolute())
    try:
        path.encode()
    except UnicodeEncodeError:
        advice = "its name is not UTF-8. Rename the folder, or use a symbolic link to it"
        raise Failure(f"{path} cannot be used: {advice}", BAD_INPUT) from None
    return path
