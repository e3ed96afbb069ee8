"""HTTP endpoints with which a person resolves the conflict of an epic's merge."""

from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Body

from heddle import errors, pb
from heddle.client import HeddleClient
from ui_svc import views
from ui_svc.endpoints import addresses
from ui_svc.views import View

Form: TypeAlias = Annotated[dict[str, Any], Body()]

_SIDES: Final = {
    "ours": pb.RESOLUTION_SIDE_OURS,
    "theirs": pb.RESOLUTION_SIDE_THEIRS,
    "ours_theirs": pb.RESOLUTION_SIDE_OURS_THEN_THEIRS,
    "theirs_ours": pb.RESOLUTION_SIDE_THEIRS_THEN_OURS,
}


class ConflictCalls:
    """Translates between the browser's JSON and the client's calls."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client

    def add_to(self, router: APIRouter) -> None:
        router.get(addresses.EPIC + "/conflict")(self.get_conflict)
        router.get(addresses.EPIC + "/conflict/{index}")(self.get_file)
        router.post(addresses.EPIC + ":submitResolution")(self.submit)

    async def get_conflict(self, name: addresses.Epic) -> View:
        """Returns the files in conflict, as both branches are now."""
        return views.epic_conflict(await self._client.get_epic_conflict(str(name)))

    async def get_file(self, name: addresses.Epic, index: int, source: str, target: str) -> View:
        """Returns the parts of a text file of the conflict between two commits."""
        conflict = pb.EpicConflict(source_commit=source, target_commit=target)
        parts = await self._client.get_conflict_file(str(name), conflict, _index(index))
        return {"parts": [views.conflict_part(each) for each in parts]}

    async def submit(self, name: addresses.Epic, form: Form) -> View:
        """Resolves the conflict; a repeated request_id does it once. Text has the line ends that it is to get."""
        request = pb.SubmitResolutionRequest(
            name=str(name),
            request_id=str(form.get("request_id", "")),
            source_commit=str(form.get("source_commit", "")),
            target_commit=str(form.get("target_commit", "")),
            files=map(_resolution, _dicts(form.get("files"))),
        )
        return views.epic(await self._client.submit_resolution(request))


def _resolution(chosen: dict[str, Any]) -> pb.FileResolution:
    resolution = pb.FileResolution(
        index=_index(chosen.get("index")), new_path=str(chosen.get("new_path", ""))
    )
    if chosen.get("mode"):
        resolution.mode = _side(chosen["mode"])
    if chosen.get("side"):
        resolution.side = _side(chosen["side"])
    elif "whole" in chosen:
        resolution.whole = str(chosen["whole"]).encode()
    elif "regions" in chosen:
        resolution.regions.choices.extend(map(_region, _dicts(chosen["regions"])))
        resolution.regions.SetInParent()
    return resolution


def _region(chosen: dict[str, Any]) -> pb.RegionChoice:
    if "text" in chosen:
        return pb.RegionChoice(text=str(chosen["text"]).encode())
    return pb.RegionChoice(side=_side(chosen.get("side")))


def _side(word: object) -> "pb.ResolutionSide.ValueType":
    if str(word) in _SIDES:
        return _SIDES[str(word)]
    raise errors.invalid_field("files", f"a side must be one of {', '.join(_SIDES)}")


def _index(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31:
        return value
    raise errors.invalid_field("index", "must be a whole number, 0 or more")


def _dicts(value: object) -> list[dict[str, Any]]:
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise errors.invalid_field("files", "must be a list")
