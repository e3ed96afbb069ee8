"""Drives Claude Code: `python -m agent_svc.hosts.claude`, a host of drivers/protocol.py."""

import sys

from agent_svc.hosts.claude.driving import drive
from agent_svc.hosts.hosting import run_host

sys.exit(run_host(drive))
