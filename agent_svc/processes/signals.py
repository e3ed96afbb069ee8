"""Signals by name."""

import signal


def signal_name(number: int) -> str:
    """Returns SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
