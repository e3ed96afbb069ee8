import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import test from "node:test";

const web = new URL("../../../ui_svc/web/", import.meta.url);
const vue = createRequire(new URL("package.json", web));
const { compile } = createRequire(vue.resolve("vue"))("@vue/compiler-dom");
const folder = new URL("components/modules/", web);
const TEMPLATE = /template: \/\* HTML \*\/ `((?:[^`\\]|\\[^])*)`/g;

const modules = readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder), "utf8")]);
const templates = modules.flatMap(([file, text]) => {
  return [...text.matchAll(TEMPLATE)].map((found, place) => ({
    name: `${file}, ${place + 1}`,
    html: found[1],
  }));
});

test("templates are marked for the formatter", () => assert.ok(templates.length > 60));

for (const { name, html } of templates) {
  // The formatter takes {{ }} for text, and may break a line within a string there.
  test(`${name}: the code that Vue generates is valid`, () => {
    new Function(compile(html.replaceAll("${", "{")).code);
  });
}

for (const [file, text] of modules) {
  // The formatter takes a component that is named like an element of HTML for that element: Frame, Progress.
  test(`${file}: each component is used`, () => {
    for (const [, names] of text.matchAll(/^ {2}components: \{([^}]*)\}/gm)) {
      for (const name of names.match(/\w+/g))
        assert.match(text, new RegExp(`<${name}\\b|:is="[^"]*\\b${name}\\b`), name);
    }
  });
}
