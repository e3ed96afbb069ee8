"""Drives one session of codex: `python -m agent_svc.hosts.codex`, a host of drivers/protocol.py."""

import sys

from agent_svc.hosts.codex.driving import drive
from agent_svc.hosts.hosting import run_host

sys.exit(run_host(drive))
