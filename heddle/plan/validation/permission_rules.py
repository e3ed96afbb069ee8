"""Validates `permissions`, and combines those of several levels."""

from collections.abc import Iterator
from typing import Final

from heddle import agents, pb
from heddle.errors import Violation
from heddle.permissions.permission_patterns import Pattern
from heddle.plan.values import text_rules
from heddle.plan.values.text_rules import at_most, shown

# Per level; each call of a tool is compared with all of them.
MAX_PATTERNS: Final = 200


def violations(path: str, permissions: pb.Permissions) -> Iterator[Violation]:
    """Yields every error in one level's permissions."""
    if permissions.default not in pb.PermissionDecision.values():
        yield Violation(f"{path}.default", "must be ask, allow or deny")
    for name, texts in (("allow", permissions.allow), ("deny", permissions.deny)):
        if len(texts) > MAX_PATTERNS:
            yield Violation(f"{path}.{name}", f"has {len(texts):,} patterns; {at_most(MAX_PATTERNS)}")
        for index, text in enumerate(texts):
            try:
                Pattern.parse(text)
            except ValueError as error:
                yield Violation(f"{path}.{name}[{index}]", str(error))
    for index, name in enumerate(permissions.project_config):
        if name not in agents.PROJECT_CONFIG:
            message = f"{shown(name)} is unknown; use {', '.join(agents.PROJECT_CONFIG)}"
            yield Violation(f"{path}.project_config[{index}]", message)
    if permissions.HasField("wait"):
        yield from text_rules.positive(f"{path}.wait", permissions.wait)


def merged(*levels: pb.Permissions) -> pb.Permissions:
    """Combines `levels`, the nearest first: the nearest default and wait apply, all patterns and project_config."""
    whole = pb.Permissions()
    for level in levels:
        whole.default = whole.default or level.default
        if not whole.HasField("wait") and level.HasField("wait"):
            whole.wait.CopyFrom(level.wait)
        named = (name for name in level.project_config if name not in whole.project_config)
        whole.project_config.extend(named)
        whole.allow.extend(text for text in level.allow if text not in whole.allow)
        whole.deny.extend(text for text in level.deny if text not in whole.deny)
    return whole
