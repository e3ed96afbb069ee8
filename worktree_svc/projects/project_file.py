"""Reads a project's .heddle.yaml from a commit; ignores the file in a checkout or a worktree."""

from typing import Final

from heddle import pb
from heddle.plan.yaml.source import Problem
from heddle.project import file as project_file
from heddle.project import rules
from worktree_svc.projects import provisions
from worktree_svc.projects.repository import Project
from worktree_svc.storage.ports import PortRange

_PLAIN: Final = ("100644", "100755")


def read(project: Project, commit: str, within: PortRange) -> pb.ProjectFile | None:
    """Returns the file in `commit`, None if there is none; raises INVALID_PROJECT_FILE with all errors.

    The files that it names must also exist in the user's checkout, and its ports must fit
    into this worker's range.
    """
    content = _content(project, commit)
    if content is None:
        return None
    loaded = project_file.parse(content)
    problems = loaded.problems
    if not problems:
        found = [
            *provisions.plan(project, loaded.file, commit).problems,
            *_too_many_ports(loaded.file, within),
        ]
        problems = project_file.located(found, content.decode("utf-8-sig"))
    if problems:
        raise project_file.invalid(problems)
    return loaded.file


def _content(project: Project, commit: str) -> bytes | None:
    found = project.git.text(
        "ls-tree", "--format=%(objectmode) %(objectname)", commit, "--", project_file.NAME
    )
    if not found:
        return None
    mode, blob = found.split(" ")
    if mode not in _PLAIN:
        problem = Problem(0, 0, "", "is a link, a folder or a submodule; it must be a plain file")
        raise project_file.invalid((problem,))
    if int(project.git.text("cat-file", "-s", blob)) > rules.MAX_FILE_BYTES:
        problem = Problem(0, 0, "", f"is larger than {rules.MAX_FILE_BYTES >> 10} KiB, the maximum size")
        raise project_file.invalid((problem,))
    return project.git.raw("cat-file", "blob", blob)


def _too_many_ports(file: pb.ProjectFile, within: PortRange) -> list[Problem]:
    most = within.last - within.first + 1
    if file.ports <= most:
        return []
    return [Problem(0, 0, "ports", f"is {file.ports}; HEDDLE_PORT_RANGE of this worker has only {most}")]
