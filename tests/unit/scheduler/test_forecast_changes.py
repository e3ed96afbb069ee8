"""How a result of the radar becomes the forecast and an event for each new finding."""

from heddle import pb
from heddle.names import AttemptName, EpicName
from scheduler_svc.leader.merges.forecast_changes import EpicInPlay, forecast

NOW = 1_000_000


def in_play(**merged: bool) -> dict[str, EpicInPlay]:
    """Returns epics by branch; each declares that it touches src/KEY."""
    epics = [EpicInPlay(EpicName("r", key), "", is_in, (f"src/{key}/**",)) for key, is_in in merged.items()]
    return {epic.name.branch: epic for epic in epics}


def pair(one: str, other: str = "", *files: str, upstream: bool = False) -> pb.ConflictingPair:
    with_branch = EpicName("r", other).branch if other else ""
    return pb.ConflictingPair(
        branch=EpicName("r", one).branch, with_branch=with_branch, files=files, with_upstream=upstream
    )


def wrote(key: str, *paths: str) -> pb.ChangedPaths:
    return pb.ChangedPaths(branch=EpicName("r", key).branch, paths=paths, path_count=len(paths))


def attempt(epic: str, task: str = "one") -> AttemptName:
    return AttemptName("r", epic, task, 1)


def told(events: list[pb.Event]) -> list[tuple[str, str, str]]:
    """Returns the epic, task and kind of each event."""
    return [(event.epic, event.task, event.WhichOneof("payload") or "") for event in events]


def test_a_conflict_keeps_the_task_that_caused_it() -> None:
    """A conflict names its first task, and is reported again only with other files."""
    epics = in_play(a=False, b=False)
    answer = pb.PredictConflictsResponse(pairs=[pair("a", "b", "x")])
    first, events = forecast(epics, answer, pb.ConflictForecast(), attempt("b"), NOW)
    assert told(events) == [("b", "one", "conflict_predicted")]
    assert events[0].conflict_predicted.with_epic == "a"
    second, events = forecast(epics, answer, first, attempt("a", "two"), 2 * NOW)
    assert events == []
    assert second.conflicts[0].first_task == "runs/r/epics/b/tasks/one"
    assert second.conflicts[0].since.seconds == 1
    more = pb.PredictConflictsResponse(pairs=[pair("a", "b", "x", "y")])
    third, events = forecast(epics, more, second, attempt("a", "three"), 3 * NOW)
    assert list(events[0].conflict_predicted.files) == ["x", "y"]
    assert third.conflicts[0].first_task == "runs/r/epics/b/tasks/one"


def test_a_conflict_that_is_gone_is_cleared() -> None:
    """The end of a conflict is reported if a later task resolved it, but not if its epic ended."""
    answer = pb.PredictConflictsResponse(pairs=[pair("a", "b", "x")])
    before, _ = forecast(in_play(a=False, b=False), answer, pb.ConflictForecast(), attempt("a"), NOW)
    nothing = pb.PredictConflictsResponse()
    _, events = forecast(in_play(a=False, b=False), nothing, before, attempt("a", "two"), NOW)
    assert told(events) == [("a", "two", "conflict_cleared")]
    _, events = forecast(in_play(a=False), nothing, before, attempt("a", "two"), NOW)
    assert events == []


def test_what_is_merged_still_stands_in_the_way() -> None:
    """A merged epic stays in the forecast; the run's branch is named only if no epic explains a conflict."""
    epics = in_play(a=True, b=True, c=False)
    pairs = [pair("a", "b", "x"), pair("a", "c", "x"), pair("c", "", "x")]
    found, _ = forecast(
        epics, pb.PredictConflictsResponse(pairs=pairs), pb.ConflictForecast(), attempt("c"), NOW
    )
    assert [(each.epic, each.with_epic) for each in found.conflicts] == [("a", "c")]
    pairs[-1] = pair("c", "", "x", "y")
    found, _ = forecast(
        epics, pb.PredictConflictsResponse(pairs=pairs), pb.ConflictForecast(), attempt("c"), NOW
    )
    assert [(each.side, list(each.files)) for each in found.conflicts] == [
        (pb.CONFLICT_SIDE_EPIC, ["x"]),
        (pb.CONFLICT_SIDE_RUN, ["y"]),
    ]


def test_the_projects_own_branch_is_a_side() -> None:
    """A change there can conflict with merged work, without a task as the cause."""
    answer = pb.PredictConflictsResponse(pairs=[pair("a", "", "x", upstream=True)])
    found, events = forecast(in_play(a=True, b=False), answer, pb.ConflictForecast(), attempt("b"), NOW)
    assert [(each.epic, each.side) for each in found.conflicts] == [("a", pb.CONFLICT_SIDE_UPSTREAM)]
    assert found.conflicts[0].first_task == ""
    assert told(events) == [("a", "", "conflict_predicted")]


def test_paths_outside_are_told_once() -> None:
    """A path outside all globs is reported with its task; an epic without globs is never reported."""
    epics = in_play(a=False)
    answer = pb.PredictConflictsResponse(changes=[wrote("a", "README.md", "src/a/x.py")])
    first, events = forecast(epics, answer, pb.ConflictForecast(), attempt("a"), NOW)
    assert told(events) == [("a", "one", "wrote_outside")]
    assert list(events[0].wrote_outside.paths) == ["README.md"]
    assert (list(first.footprints[0].outside), list(first.footprints[0].unused_touches)) == (
        ["README.md"],
        [],
    )
    assert forecast(epics, answer, first, attempt("a", "two"), NOW)[1] == []
    branch = EpicName("r", "a").branch
    silent = {branch: EpicInPlay(EpicName("r", "a"), "", merged=False, touches=())}
    found, events = forecast(silent, answer, pb.ConflictForecast(), attempt("a"), NOW)
    assert events == []
    assert not found.footprints[0].outside
