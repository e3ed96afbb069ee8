import { assert, test } from "vitest";
import { isVNode } from "vue";
import Code from "../src/code/Code.vue";
import { loadParser, Markdown } from "../src/parts/markdown";

const render = (text: string): any => (Markdown as (props: { text: string }) => unknown)({ text });

// How many elements a rendered node has.
function count(node: unknown): number {
  if (Array.isArray(node)) return node.reduce((all, each) => all + count(each), 0);
  return isVNode(node) ? 1 + count(node.children) : 0;
}

// A rendered node as text, with its tags; attributes that matter are named.
function written(node: any): string {
  if (Array.isArray(node)) return node.map(written).join("");
  if (!isVNode(node)) return node ?? "";
  const { href, src, start } = (node.props ?? {}) as Record<string, unknown>;
  // Code that is coloured once it is in sight.
  if (node.type === Code) return `<code ${node.props?.language}>${node.props?.text}</code>`;
  const told = [href, src, start === 1 ? undefined : start].filter((each) => each !== undefined);
  return `<${[node.type, ...told].join(" ")}>${written(node.children ?? "")}</${String(node.type)}>`;
}

const html = (text: string) => written(render(text).children);

test("until the parser is loaded, the text is plain", async () => {
  assert.strictEqual(html("**a**"), "<p>**a**</p>");
  await loadParser();
  assert.strictEqual(html("**a**"), "<p><strong>a</strong></p>");
});

// [what it is about, the text, what is shown]
const CASES: [string, string, string][] = [
  ["tags stay text", "a <b>bold</b> <script>x()</script>", "<p>a <b>bold</b> <script>x()</script></p>"],
  [
    "a table",
    "|a|b|\n|-|-:|\n|1|2|",
    "<div><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>",
  ],
  ["nested lists", "3. a\n   - b\n4. c", "<ol 3><li>a<ul><li>b</li></ul></li><li>c</li></ol>"],
  ["a web address", "[x](https://a.b/c(d))", "<p><a https://a.b/c(d)>x</a></p>"],
  [
    "any other address is only named",
    "[x](/etc/passwd) [y](file:///a)",
    "<p>x (/etc/passwd) [y](file:///a)</p>",
  ],
  ["a script as an address", "[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"],
  ["an image is named, not loaded", "![shot](https://a.b/c.png)", "<p>shot (https://a.b/c.png)</p>"],
  ["code", "`a*b*`\n\n```\nx = 1\n```", "<p><code>a*b*</code></p><pre><code>x = 1</code></pre>"],
  ["code of a language", "```py\nx = '<b>'\n```", "<code python>x = '<b>'</code>"],
  [
    "more lines than are coloured",
    `\`\`\`py\n${"\n".repeat(2001)}\`\`\``,
    `<pre><code>${"\n".repeat(2000)}</code></pre>`,
  ],
  ["a fence that is still being written", "```\nx = 1", "<pre><code>x = 1</code></pre>"],
  ["names with underscores", "use some_long_name_here", "<p>use some_long_name_here</p>"],
];

for (const [what, text, shown] of CASES)
  test(`${what}`, async () => {
    await loadParser();
    assert.strictEqual(html(text), shown);
  });

const ENDLESS = {
  "bold links": "**[".repeat(1e6),
  brackets: "[".repeat(2e6),
  quotes: ">".repeat(2e6),
  paragraphs: "a\n\n".repeat(1e6),
  fences: "```\n".repeat(5e5),
  code: "`a".repeat(1e6),
  codes: "`a` ".repeat(1e6),
  items: "- ".repeat(1e6),
  cells: `${"|a".repeat(500)}\n${"|-".repeat(500)}\n${`${"|a".repeat(500)}\n`.repeat(1e3)}`,
  stars: "*a* ".repeat(1e6),
};

for (const [what, text] of Object.entries(ENDLESS))
  test(`endless ${what} are rendered within limits`, async () => {
    await loadParser();
    const nodes = count(render(text));
    assert.ok(nodes > 0 && nodes < 5000, String(nodes));
  });
