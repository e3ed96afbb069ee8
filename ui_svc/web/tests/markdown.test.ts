import { assert, test } from "vitest";
import { isVNode } from "vue";
import { Markdown } from "../src/parts/markdown";

// How many elements a rendered node has.
function count(node: unknown): number {
  if (Array.isArray(node)) return node.reduce((all, each) => all + count(each), 0);
  return isVNode(node) ? 1 + count(node.children) : 0;
}

const ENDLESS = {
  "bold links": "**[".repeat(1e6),
  brackets: "[".repeat(2e6),
  quotes: ">".repeat(2e6),
  paragraphs: "a\n\n".repeat(1e6),
  fences: "```\n".repeat(5e5),
  code: "`a".repeat(1e6),
  items: "- ".repeat(1e6),
};

for (const [what, text] of Object.entries(ENDLESS))
  test(`endless ${what} are rendered within limits`, () => {
    const nodes = count((Markdown as (props: { text: string }) => unknown)({ text }));
    assert.ok(nodes > 0 && nodes < 5000, String(nodes));
  });
