"""The service's own git folders, and the settings of a project that they copy."""

from pathlib import Path

from tests.support.repositories import git, make_repository
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import Git


def test_settings_that_name_no_program_are_taken_over(tmp_path: Path) -> None:
    """Settings for writing files are copied with any characters; programs are not."""
    project = make_repository(tmp_path / "project")
    odd = 'https://example.com/a "b" \\c;#d\ne'
    for key, value in (
        ("core.autocrlf", "input"),
        ('remote.my "odd\\name.url', odd),
        ("merge.evil.driver", "evil"),
        ("remote.origin.uploadpack", "evil"),
        ("include.path", "/evil"),
    ):
        git(project, "config", key, value)
    private = PrivateFolders(tmp_path / "repositories").of(project / ".git")
    listed = Git(private, git_dir=private).items(
        "config", "--file", str(private / "config"), "--null", "--list"
    )
    settings = dict(entry.split("\n", 1) for entry in listed)
    assert settings["core.autocrlf"] == "input"
    assert settings['remote.my "odd\\name.url'] == odd
    assert not [key for key, value in settings.items() if "evil" in value]


def test_a_change_of_the_projects_settings_is_seen(tmp_path: Path) -> None:
    """A project's folder stays the same and follows changes of the user's settings."""
    project = make_repository(tmp_path / "project")
    folders = PrivateFolders(tmp_path / "repositories")
    first = folders.of(project / ".git")
    git(project, "config", "core.eol", "crlf")
    assert folders.of(project / ".git") == first
    assert 'eol = "crlf"' in (first / "config").read_text()
    assert Git(first, git_dir=first).text("rev-parse", "main") == git(project, "rev-parse", "HEAD")


def test_leftovers_of_a_killed_service_are_removed(tmp_path: Path) -> None:
    """The next service removes temporary objects from the service's own folder."""
    project = make_repository(tmp_path / "project")
    folders = PrivateFolders(tmp_path / "repositories")
    private = folders.of(project / ".git")
    kept = sorted(private.iterdir())
    with Git(private, git_dir=private).with_temporary_objects():
        assert sorted(private.iterdir()) != kept
        folders.clear()
        assert sorted(private.iterdir()) == kept


def test_filters_are_those_of_the_first_time(tmp_path: Path) -> None:
    """A project keeps the filters of its first use, except for those that the operator names."""
    project = make_repository(tmp_path / "project")
    included = tmp_path / "included"
    git(project, "config", "--file", str(included), "filter.crypt.required", "true")
    git(project, "config", "include.path", str(included))
    git(project, "config", "filter.crypt.clean", "first")
    folders = PrivateFolders(tmp_path / "repositories")
    first = {"filter.crypt.clean": "first", "filter.crypt.required": "true"}
    assert folders.running_filters(project / ".git") == first
    git(project, "config", "filter.crypt.clean", "second")
    git(project, "config", "filter.later.clean", "later")
    assert folders.running_filters(project / ".git") == first
    again = PrivateFolders(tmp_path / "repositories", named=("later", "crypt"))
    second = {"filter.crypt.clean": "second", "filter.later.clean": "later", "filter.crypt.required": "true"}
    assert again.running_filters(project / ".git") == second
    none = PrivateFolders(tmp_path / "repositories", named=("none",))
    assert none.running_filters(project / ".git") == {}
