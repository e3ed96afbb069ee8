import re
from pathlib import Path

from heddle.cli.app import app
from heddle.config import Settings

DOCS = Path(__file__).parents[3] / "docs"


def test_every_command_is_explained() -> None:
    """docs/cli.md names every command."""
    text = (DOCS / "cli.md").read_text()
    commands = [each.name or each.callback.__name__ for each in app.registered_commands if each.callback]
    assert len(commands) > 14
    assert [name for name in commands if f"`heddle {name}" not in text] == []


def test_every_setting_is_explained() -> None:
    """docs/configuration.md names every variable that Settings reads, and its default."""
    text = (DOCS / "configuration.md").read_text()
    settings = Settings.read({})
    names = [f"HEDDLE_{field.upper()}" for field in Settings.model_fields]
    assert len(names) > 12
    assert [name for name in names if f"`{name}`" not in text] == []
    rows = dict(re.findall(r"\| `(HEDDLE_\w+)` \| `([^`]+)` \|", text))
    assert rows["HEDDLE_SLOTS"] == str(settings.slots)
    assert rows["HEDDLE_MIN_FREE_BYTES"] == str(settings.min_free_bytes)
    assert rows["HEDDLE_STOP_GRACE"] == str(settings.stop_grace)
    assert rows["HEDDLE_SCHEDULER"] == settings.scheduler
    assert rows["HEDDLE_LOG_LEVEL"] == settings.log_level
