"""Converts the parts of HTTP paths to resource names."""

from typing import Annotated, Final, TypeAlias

from fastapi import Depends

from heddle.names import AttemptName, EpicName, RunName, TaskName

RUN: Final = "/runs/{run}"
EPIC: Final = RUN + "/epics/{epic}"
TASK: Final = EPIC + "/tasks/{task}"
ATTEMPT: Final = TASK + "/attempts/{number}"


def _run(run: str) -> RunName:
    return RunName(run)


def _epic(run: str, epic: str) -> EpicName:
    return EpicName(run, epic)


def _task(run: str, epic: str, task: str) -> TaskName:
    return TaskName(run, epic, task)


def _attempt(run: str, epic: str, task: str, number: int) -> AttemptName:
    return AttemptName(run, epic, task, number)


# The scheduler validates them.
Run: TypeAlias = Annotated[RunName, Depends(_run)]
Epic: TypeAlias = Annotated[EpicName, Depends(_epic)]
Task: TypeAlias = Annotated[TaskName, Depends(_task)]
Attempt: TypeAlias = Annotated[AttemptName, Depends(_attempt)]
