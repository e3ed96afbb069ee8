"""The home of a run, and where its epics can be. Pure."""

from typing import NamedTuple

from heddle import urls


def is_placed(project: str, *, served: bool) -> bool:
    """Returns whether the epics of a run have places, so that they use all workers."""
    return served or urls.is_url(project)


class Home(NamedTuple):
    """The worker of a run, and the run's project: a URL, or a path on the disk of that worker."""

    project: str
    worker: str
    # True: the worker serves the repository at that path to other workers.
    served: bool = False

    @property
    def placed(self) -> bool:
        """True: the run's epics have places, so they use all workers."""
        return is_placed(self.project, served=self.served)

    def project_at(self, worker: str) -> str:
        """Returns how a worker knows the project."""
        if worker == self.worker or urls.is_url(self.project):
            return self.project
        return urls.of_worker(self.worker, self.project)
