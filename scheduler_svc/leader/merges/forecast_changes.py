"""Computes a run's new conflict forecast and the events for the changes. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from heddle import globs, pb
from heddle.names import AttemptName, EpicName
from scheduler_svc.store.db.events import event
from scheduler_svc.store.db.times import timestamp

# Maximum number in one event.
_MOST_PATHS: Final = 100

_ACTOR: Final = "scheduler"


@dataclass(frozen=True)
class EpicInPlay:
    """An epic that could still conflict."""

    name: EpicName
    # The start of its branch. Empty: the run's base.
    start: str
    merged: bool
    touches: tuple[str, ...]


class _Key(NamedTuple):
    epic: str
    side: "pb.ConflictSide.ValueType"
    with_epic: str


def forecast(
    in_play: Mapping[str, EpicInPlay],
    answer: pb.PredictConflictsResponse,
    before: pb.ConflictForecast,
    attempt: AttemptName,
    now: int,
) -> tuple[pb.ConflictForecast, list[pb.Event]]:
    """Returns the forecast after an attempt was accepted, and the events for its changes.

    `in_play` is by branch, in the order of the plan.
    """
    new = pb.ConflictForecast(
        conflicts=_conflicts(in_play, answer.pairs),
        footprints=[_footprint(in_play[change.branch], change) for change in answer.changes],
        look_time=timestamp(now),
        upstream_commit=answer.upstream_commit,
    )
    known = {_key(each): each for each in before.conflicts}
    for each in new.conflicts:
        if old := known.get(_key(each)):
            each.first_task = old.first_task
            each.since.CopyFrom(old.since)
        else:
            if attempt.epic in {each.epic, each.with_epic}:
                each.first_task = str(attempt.parent)
            each.since.CopyFrom(new.look_time)
    keys = {epic.name.epic for epic in in_play.values()}
    events = [
        *_predicted(new, known, attempt),
        *_cleared(new, before, keys, attempt),
        *_outside(new, before, attempt),
    ]
    return new, events


def _conflicts(
    in_play: Mapping[str, EpicInPlay], pairs: Iterable[pb.ConflictingPair]
) -> list[pb.PredictedConflict]:
    """Returns the relevant conflicts as pairs of epics; merged epics no longer conflict with each other."""
    found: list[pb.PredictedConflict] = []
    of_run: list[tuple[EpicInPlay, set[str]]] = []
    # For each unmerged epic, the files in which it conflicts with a merged one.
    explained: dict[str, set[str]] = {}
    for pair in pairs:
        one, other = in_play[pair.branch], in_play.get(pair.with_branch)
        if other:
            if one.merged and other.merged:
                continue
            if one.merged or other.merged:
                waiting = other if one.merged else one
                explained.setdefault(waiting.name.epic, set()).update(pair.files)
            side = pb.CONFLICT_SIDE_EPIC
            with_epic = other.name.epic
        elif pair.with_upstream:
            side, with_epic = pb.CONFLICT_SIDE_UPSTREAM, ""
        else:
            if not one.merged:
                of_run.append((one, set(pair.files)))
            continue
        found.append(
            pb.PredictedConflict(epic=one.name.epic, side=side, with_epic=with_epic, files=pair.files)
        )
    for epic, files in of_run:
        key = epic.name.epic
        if rest := sorted(files - explained.get(key, set())):
            found.append(pb.PredictedConflict(epic=key, side=pb.CONFLICT_SIDE_RUN, files=rest))
    places = {epic.name.epic: place for place, epic in enumerate(in_play.values())}
    return sorted(found, key=lambda each: (places[each.epic], each.side, places.get(each.with_epic, 0)))


def _footprint(epic: EpicInPlay, change: pb.ChangedPaths) -> pb.EpicFootprint:
    patterns = {glob: globs.pattern(glob) for glob in epic.touches}
    outside = [path for path in change.paths if not any(p.fullmatch(path) for p in patterns.values())]
    unused = [glob for glob, p in patterns.items() if not any(map(p.fullmatch, change.paths))]
    return pb.EpicFootprint(
        epic=epic.name.epic,
        commit=change.commit,
        paths=change.paths,
        path_count=change.path_count,
        touches=epic.touches,
        outside=outside if patterns else [],
        unused_touches=unused,
    )


def _predicted(
    new: pb.ConflictForecast, known: Mapping[_Key, pb.PredictedConflict], attempt: AttemptName
) -> Iterable[pb.Event]:
    for each in new.conflicts:
        old = known.get(_key(each))
        if old is None or list(old.files) != list(each.files):
            about, with_epic = _sides(each, attempt)
            predicted = pb.ConflictPredicted(with_epic=with_epic, files=each.files, side=each.side)
            yield event(about, _ACTOR, conflict_predicted=predicted)


def _cleared(
    new: pb.ConflictForecast, before: pb.ConflictForecast, keys: set[str], attempt: AttemptName
) -> Iterable[pb.Event]:
    """Yields an event for each conflict that has disappeared although both of its epics still exist."""
    now = {_key(each) for each in new.conflicts}
    for each in before.conflicts:
        if _key(each) not in now and {each.epic, each.with_epic or each.epic} <= keys:
            about, with_epic = _sides(each, attempt)
            cleared = pb.ConflictCleared(with_epic=with_epic, side=each.side)
            yield event(about, _ACTOR, conflict_cleared=cleared)


def _outside(
    new: pb.ConflictForecast, before: pb.ConflictForecast, attempt: AttemptName
) -> Iterable[pb.Event]:
    told = {each.epic: set(each.outside) for each in before.footprints}
    for each in new.footprints:
        if paths := [path for path in each.outside if path not in told.get(each.epic, set())]:
            epic = EpicName(attempt.run, each.epic)
            about = attempt if each.epic == attempt.epic else epic
            wrote = pb.WroteOutside(paths=paths[:_MOST_PATHS], path_count=len(paths))
            yield event(about, _ACTOR, wrote_outside=wrote)


def _sides(conflict: pb.PredictedConflict, attempt: AttemptName) -> tuple[AttemptName | EpicName, str]:
    """Returns the subject of an event, the attempt if its epic is one of the two, and the other epic's key."""
    one, other = conflict.epic, conflict.with_epic
    if other == attempt.epic:
        one, other = other, one
    return (attempt if one == attempt.epic else EpicName(attempt.run, one)), other


def _key(conflict: pb.PredictedConflict) -> _Key:
    return _Key(conflict.epic, conflict.side, conflict.with_epic)
