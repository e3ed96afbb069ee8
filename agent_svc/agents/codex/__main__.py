"""Drives one session of codex: `python -m agent_svc.agents.codex`, a host that speaks base/protocol.py."""

import sys

from agent_svc.agents.base.host import run_host
from agent_svc.agents.codex.session import drive

sys.exit(run_host(drive))
