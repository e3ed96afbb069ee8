"""Every message and enum of heddle.v1 under one name: `from heddle import pb`."""

from heddle.v1.agent_service_pb2 import *
from heddle.v1.approval_pb2 import *
from heddle.v1.attempt_pb2 import *
from heddle.v1.conflict_pb2 import *
from heddle.v1.cost_pb2 import *
from heddle.v1.draft_pb2 import *
from heddle.v1.epic_pb2 import *
from heddle.v1.error_reason_pb2 import *
from heddle.v1.event_options_pb2 import *
from heddle.v1.event_pb2 import *
from heddle.v1.hold_pb2 import *
from heddle.v1.housekeeping_pb2 import *
from heddle.v1.identity_service_pb2 import *
from heddle.v1.plan_difference_pb2 import *
from heddle.v1.plan_pb2 import *
from heddle.v1.project_pb2 import *
from heddle.v1.run_pb2 import *
from heddle.v1.schedule_pb2 import *
from heddle.v1.scheduler_service_pb2 import *
from heddle.v1.task_pb2 import *
from heddle.v1.usage_pb2 import *
from heddle.v1.worker_pb2 import *
from heddle.v1.worktree_service_pb2 import *
