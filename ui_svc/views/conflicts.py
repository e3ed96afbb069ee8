"""The views of the conflict forecast and the merge queue."""

from heddle import pb
from ui_svc.views.values import View, time, word


def conflicts(message: pb.GetConflictsResponse) -> View:
    """Returns predicted conflicts, paths outside the plan, and the queue.

    `looked` is None before the first forecast.
    """
    forecast = message.forecast
    return {
        "looked": time(forecast, "look_time"),
        "upstream": forecast.upstream,
        "conflicts": [
            {
                "epic": each.epic,
                "side": word(pb.ConflictSide.DESCRIPTOR, each.side),
                "with_epic": each.with_epic,
                "files": list(each.files),
                "first_task": each.first_task,
                "since": time(each, "since"),
            }
            for each in forecast.conflicts
        ],
        "footprints": [{"epic": each.epic, "outside": list(each.outside)} for each in forecast.footprints],
        "queue": [
            {
                "epic": each.epic,
                "stage": word(pb.MergeStage.DESCRIPTOR, each.stage),
                "target_branch": each.target_branch,
                "waits_for": each.waits_for,
                "commit": each.commit,
                "conflict": _conflict(each.conflict) if each.HasField("conflict") else None,
            }
            for each in message.queue
        ],
    }


def epic_conflict(message: pb.EpicConflict) -> View:
    """Returns the files in which an epic's merge conflicts, without their content."""
    return {
        "source_commit": message.source_commit,
        "target_commit": message.target_commit,
        "source_branch": message.source_branch,
        "target_branch": message.target_branch,
        "files": [
            {
                "index": each.index,
                "path": each.path,
                "form": word(pb.ConflictForm.DESCRIPTOR, each.form),
                "note": each.note,
                "made_up_name": each.made_up_name,
                **{
                    side: _version(getattr(each, side)) if each.HasField(side) else None
                    for side in ("base", "ours", "theirs")
                },
            }
            for each in message.files
        ],
    }


def conflict_part(message: pb.ConflictPart) -> View:
    """Returns a part of a text file: `common` text, or the texts of a `region`."""
    if not message.HasField("region"):
        return {"common": _text(message.common), "region": None}
    region = message.region
    return {
        "common": None,
        "region": {"base": _text(region.base), "ours": _text(region.ours), "theirs": _text(region.theirs)},
    }


def _text(content: bytes) -> View:
    """Returns text for display; not `exact`: bytes that are not UTF-8 are replaced in it."""
    try:
        return {"text": content.decode(), "exact": True}
    except UnicodeDecodeError:
        return {"text": content.decode(errors="replace"), "exact": False}


def _version(message: pb.FileVersion) -> View:
    return {"mode": message.mode, "size": message.size, "target": message.target}


def _conflict(message: pb.MergeConflicted) -> View:
    """Returns the conflict that prevents a branch's merge, and how to resolve it by hand."""
    return {
        "files": list(message.files),
        "advice": message.advice,
        "hunks": [{"file": each.file, "line": each.line, "text": each.text} for each in message.hunks],
        "checks": [{"name": each.name, "output": each.output} for each in message.failed_checks],
    }
