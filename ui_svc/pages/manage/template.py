"""Gives the pages with forms NiceGUI's own template, which loads Quasar; all others keep the lean one."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import nicegui
from jinja2 import BaseLoader, Environment, TemplateNotFound

_NICEGUI: Final = Path(nicegui.__file__).parent / "templates"
_CHOICE: Final = '{% if request.url.path in form_pages %}{% include "forms.html" %}{% else %}{% include "lean.html" %}{% endif %}'


class PageTemplates(BaseLoader):
    """Loads `index.html` as the choice between NiceGUI's template and that of `lean`."""

    def __init__(self, lean: BaseLoader) -> None:
        self._lean = lean

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Returns the source of a template; raises TemplateNotFound."""
        match template:
            case "index.html":
                return _CHOICE, None, None
            case "forms.html":
                path = _NICEGUI / "index.html"
                return path.read_text(), str(path), None
            case "lean.html":
                return self._lean.get_source(environment, "index.html")
        raise TemplateNotFound(template)


def install(environment: Environment, paths: Iterable[str]) -> None:
    """Gives the pages at `paths` NiceGUI's template."""
    assert environment.loader is not None  # noqa: S101 (the lean template was installed before)
    environment.loader = PageTemplates(environment.loader)
    environment.globals["form_pages"] = frozenset(paths)
