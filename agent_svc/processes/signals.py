"""Signals by name."""

import signal


def signal_name(number: int) -> str:
    """Returns the name of a signal, for example SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
