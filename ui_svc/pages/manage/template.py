"""Gives the pages with forms NiceGUI's own template, which loads Quasar; all others keep the lean one."""

from collections.abc import Callable, Iterable
from typing import Final

from jinja2 import BaseLoader, Environment, TemplateNotFound

from ui_svc.web.nicegui_parts import own_template

_CHOICE: Final = '{% if request.url.path in form_pages %}{% include "forms.html" %}{% else %}{% include "lean.html" %}{% endif %}'


# The place in NiceGUI's template where a browser without scripts is told, before what its styles hide.
_FALLBACK: Final = '<div id="esm-fallback">'
_NO_SCRIPT: Final = '{% include "no_script.html" %}'


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
                path = own_template()
                return path.read_text().replace(_FALLBACK, _NO_SCRIPT + _FALLBACK), str(path), None
            case "lean.html":
                return self._lean.get_source(environment, "index.html")
            case "no_script.html":
                return self._lean.get_source(environment, template)
        raise TemplateNotFound(template)


def install(environment: Environment, paths: Iterable[str]) -> None:
    """Gives the pages at `paths` NiceGUI's template."""
    assert environment.loader is not None  # noqa: S101 (the lean template was installed before)
    environment.loader = PageTemplates(environment.loader)
    environment.globals["form_pages"] = frozenset(paths)
