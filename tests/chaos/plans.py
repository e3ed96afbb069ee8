"""What the plans of the chaos tests have in common."""

from google.protobuf.duration_pb2 import Duration

from heddle import pb


def task_defaults(agent: str, retries: int | None = None) -> pb.TaskDefaults:
    """Returns the defaults of a plan whose agents leave endless processes: these are ended at once."""
    return pb.TaskDefaults(agent=agent, retries=retries, background_wait=Duration(nanos=50_000_000))
