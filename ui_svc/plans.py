"""A plan file as the form shows it: every mistake with its line, or what it would do."""

from google.protobuf.json_format import ParseDict
import yaml

from heddle import pb
from ui_svc.views import View


def read_plan(text: str) -> tuple[pb.Plan | None, View]:
    """Interim."""
    data = yaml.safe_load(text)
    plan = pb.Plan(name=data["name"])
    return plan, {"problems": [], "epics": len(data.get("epics", [])), "tasks": 0}
