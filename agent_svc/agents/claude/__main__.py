"""Drives Claude Code: `python -m agent_svc.agents.claude`, a host that speaks base/protocol.py."""

import sys

from agent_svc.agents.base.host import run_host
from heddle.imports import without_collections

with without_collections():
    # The SDK takes a second of processor time, and collections a third of that.
    from agent_svc.agents.claude.session import drive

sys.exit(run_host(drive))
