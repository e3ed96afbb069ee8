"""Resolves an operator's answer to a question. Pure."""

from heddle import pb
from heddle.errors import invalid_field
from heddle.permissions.permission_patterns import Pattern, rule_for


def answer_to(asked: pb.Approval | None, request: pb.ResolveApprovalRequest) -> pb.ApprovalResolved:
    """Returns the answer, with its rule if it applies beyond this call; raises INVALID_FIELD.

    `asked` is None if the question is not open. It is then unknown what the answer should allow, and the first
    answer stays.
    """
    said = pb.ApprovalResolved(
        approval_id=request.approval_id, approved=request.approved, message=request.message
    )
    if not request.scope:
        if request.rule:
            raise invalid_field("rule", "needs a scope: the session or the run")
        return said
    if request.scope not in pb.ApprovalScope.values():
        raise invalid_field("scope", "must be the session or the run")
    if not request.approved:
        raise invalid_field("scope", "is for approved calls; a denial is for one call alone")
    rule = _given(request.rule)
    if asked is None:
        return said
    if not asked.tool:
        raise invalid_field("scope", "this is a plain question, not a call of a tool that can be allowed")
    said.rule = rule or rule_for(asked.tool, asked.target)
    if not said.rule:
        raise invalid_field("rule", f"no pattern is about this call of {asked.tool} alone; give one")
    said.scope = request.scope
    return said


def _given(rule: str) -> str:
    if rule:
        try:
            Pattern.parse(rule)
        except ValueError as error:
            raise invalid_field("rule", str(error)) from error
    return rule
