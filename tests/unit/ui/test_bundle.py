"""The browser's modules are combined into one script."""

import pytest

from ui_svc.pages import frame
from ui_svc.web.bundle import bundle


def test_each_module_comes_once_after_those_that_it_imports() -> None:
    """Only exports are visible to others; a package of the import map is imported once."""
    text = bundle(
        {
            "page.js": 'import { ref } from "vue";\nimport { left } from "./left.js";\n'
            'import { up as above } from "./shared.js";\nexport const PAGE = [ref, left, above];\n',
            "left.js": 'import { ref, watch } from "vue";\nimport {\n  up,\n  Shared as S,\n} from "./shared.js";\n'
            "export function left() {}\nexport async function later() {}\n",
            "shared.js": 'export const up = 1;\nconst own = 2;\nexport class Shared {}\nimport("elsewhere");\n',
            "other.js": "export const other = 1;\n",
        },
        "page.js",
    )
    assert (
        text
        == """\
import * as foreign0 from "vue";
export const modules = {};
// shared.js
modules["shared.js"] = (() => {
const up = 1;
const own = 2;
class Shared {}
import("elsewhere");
return { up, Shared };
})();
// left.js
modules["left.js"] = (() => {
const { ref, watch } = foreign0;
const { up, Shared: S } = modules["shared.js"];
function left() {}
async function later() {}
return { left, later };
})();
// page.js
modules["page.js"] = (() => {
const { ref } = foreign0;
const { left } = modules["left.js"];
const { up: above } = modules["shared.js"];
const PAGE = [ref, left, above];
return { PAGE };
})();
export const { PAGE } = modules["page.js"];
"""
    )


@pytest.mark.parametrize(
    ("modules", "complaint"),
    [
        ({"a.js": 'import { b } from "./b.js";\n'}, "a.js imports b.js, which does not exist"),
        (
            {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'},
            "a.js imports b.js imports a.js: a circular import",
        ),
        ({"a.js": "export default {};\n"}, "a.js: .*export default"),
        ({"a.js": "export let a = 1;\n"}, "a.js: .*export let"),
        ({"a.js": 'import b from "./b.js";\n'}, "a.js: .*import b"),
    ],
)
def test_an_unknown_form_is_named(modules: dict[str, str], complaint: str) -> None:
    """A form that the bundler does not support stops the web app at its start."""
    with pytest.raises(ValueError, match=complaint):
        bundle(modules, "a.js")


def test_every_module_is_bundled() -> None:
    """Every module is imported by a page."""
    modules = frame.modules()
    text = bundle(modules, "pages.js")
    assert [name for name in modules if f"\n// {name}\n" not in text] == []
