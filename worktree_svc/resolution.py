"""The merge that an attempt is to resolve: laid out with its conflict markers, and free of them when it is committed."""

from typing import Final

from heddle import errors, pb
from worktree_svc import checkouts, projects, refs, trees
from worktree_svc.git import Git, decode, failure, readable
from worktree_svc.projects import Project
from worktree_svc.states import Place

# Of files that a message names.
_MOST_FILES: Final = 20


def begin(project: Project, place: Place, head: str, revision: str) -> str:
    """Lays the merge of `revision` into `head` out in the worktree, which holds `head`.

    Returns the commit of the revision; nothing where `head` holds it already.
    """
    other = projects.resolve(project, revision)
    if other is None:
        raise projects.unknown_revision(project, revision)
    if refs.is_ancestor(project.git, other, head):
        return ""
    ((_, tree, _),) = trees.merged(project.git, [(head, other)], trying=False)
    # Only in the service's own index: to the agent, all of it is a change that it could have made.
    checkouts.insist(project.git.at(place.path, index=place.index), "read-tree", "--reset", "-u", tree)
    return other


def check(git: Git, tree: str, head: str, other: str) -> None:
    """Raises MARKERS_LEFT if `tree` holds markers of the merge of `other` into `head`.

    These name both commits, so that other files may speak of markers.
    """
    words = ("-e", f"<<<<<<< {head}", "-e", f">>>>>>> {other}")
    arguments = ("grep", "--files-with-matches", "--text", "--fixed-strings", "-z", *words, tree)
    output = git.attempt(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    found = [readable(name.partition(":")[2]) for name in decode(output.stdout).split("\0")[:-1]]
    if found:
        more = f" and {len(found) - _MOST_FILES} more" if len(found) > _MOST_FILES else ""
        raise errors.HeddleError(
            pb.ERROR_REASON_MARKERS_LEFT,
            f"conflict markers are left in {', '.join(found[:_MOST_FILES])}{more}: resolve each region, and"
            " remove its lines <<<<<<<, ======= and >>>>>>>",
            files=", ".join(found[:_MOST_FILES]),
        )
