"""What several commands take."""

from typing import Annotated

import typer

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="As `heddle ls` shows it.")]
EpicArgument = Annotated[str, typer.Argument(metavar="EPIC", help="RUN/EPIC")]
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="RUN/EPIC/TASK.")]
AttemptArgument = Annotated[
    str, typer.Argument(metavar="ATTEMPT", help="RUN/EPIC/TASK/N; without N, the newest of the task.")
]
