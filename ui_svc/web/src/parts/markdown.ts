// Renders agents' markdown as elements and text, never as HTML.
import { h, shallowRef, type FunctionalComponent, type VNode } from "vue";
import Code from "../code/Code.vue";
import { languageOfFence } from "../code/tokens";
import { plain } from "../model/text";
import type { Token } from "./markdownParser";

// Limits, as the text may be anything: only the end of a longer text is shown, and after this many elements
// the rest is plain text. Reading the worst text of this length takes a tenth of a second.
const MOST_TEXT = 30_000;

const MOST_NODES = 2000;

type Child = VNode | string;

// Absent until the first text is shown; it is plain until then.
const parse = shallowRef<((text: string) => Token[]) | null>(null);

let loading: Promise<unknown> | undefined;

// Resolves once texts are rendered.
export const loadParser = () =>
  (loading ??= import("./markdownParser").then(
    (it) => (parse.value = it.parse),
    // Without a connection the text stays plain; the next text tries again.
    () => (loading = undefined),
  ));

// Coloured lines are elements too, so what exceeds `count` stays plain.
function block(text: string, info: string, count: { left: number }): VNode {
  const language = languageOfFence(info);
  const lines = text.split("\n").length;
  if (!language || lines > count.left) return h("pre", { tabindex: 0 }, h("code", text));
  count.left -= lines;
  return h(Code, { text, language });
}

// Images are not loaded, and only web addresses are followed.
const LINK = /^https?:\/\//i;

function closed(token: Token, children: Child[]): Child[] {
  const { tag } = token;
  if (token.hidden) return children;
  if (token.type === "link_open") {
    const target = token.attrGet("href") ?? "";
    if (!LINK.test(target)) return [...children, ` (${target})`];
    return [h("a", { href: target, target: "_blank", rel: "noopener noreferrer nofollow" }, children)];
  }
  if (token.type === "heading_open") return [h("p", { class: `md-h md-${tag}` }, children)];
  if (tag === "ol") return [h(tag, { start: Number(token.attrGet("start") ?? 1) }, children)];
  if (tag === "table") return [h("div", { class: "md-table", tabindex: 0 }, h(tag, children))];
  const align = /text-align:(\w+)/.exec(token.attrGet("style") ?? "")?.[1];
  return [h(tag, align ? { class: `md-${align}` } : {}, children)];
}

function single(token: Token, count: { left: number }): Child[] {
  if (token.children && token.type === "inline") return nodes(token.children, count);
  if (token.type === "code_inline") return [h("code", token.content)];
  if (token.type === "fence" || token.type === "code_block")
    return [block(token.content.replace(/\n$/, ""), token.info, count)];
  if (token.type === "softbreak") return ["\n"];
  if (token.type === "image") return [`${token.content} (${token.attrGet("src")})`];
  return token.tag ? [h(token.tag)] : [token.content];
}

// Stops creating elements once `count` is used up; texts that follow are still shown.
function nodes(tokens: Token[], count: { left: number }): Child[] {
  const open: { token: Token | null; children: Child[] }[] = [{ token: null, children: [] }];
  for (const token of tokens) {
    const inner = open[open.length - 1];
    if (token.nesting > 0) open.push({ token: count.left > 0 ? token : null, children: [] });
    else if (token.nesting < 0) {
      open.pop();
      const children = inner.token ? closed(inner.token, inner.children) : inner.children;
      open[open.length - 1].children.push(...children);
    } else if (count.left > 0) inner.children.push(...single(token, count));
    else inner.children.push(token.content);
    if (token.nesting >= 0) count.left -= 1;
  }
  return open[0].children;
}

function rendered(text: string, read: (text: string) => Token[]): Child[] {
  const tokens = read(text);
  const count = { left: MOST_NODES };
  // The tokens of each outermost block.
  let [depth, start] = [0, 0];
  const out: Child[] = [];
  for (const [place, token] of tokens.entries()) {
    depth += token.nesting;
    if (depth) continue;
    if (count.left <= 0) {
      const line = tokens[start].map?.[0] ?? 0;
      return [...out, h("pre", { tabindex: 0 }, text.split("\n").slice(line).join("\n"))];
    }
    out.push(...nodes(tokens.slice(start, place + 1), count));
    start = place + 1;
  }
  return out;
}

export const Markdown: FunctionalComponent<{ text: string }> = ({ text }) => {
  if (!parse.value) void loadParser();
  const shown = plain(text.slice(-MOST_TEXT));
  return h("div", { class: "markdown" }, [
    text.length > MOST_TEXT ? h("p", { class: "quiet" }, "The beginning of this text is in the log.") : null,
    ...(parse.value ? rendered(shown, parse.value) : [h("p", shown)]),
  ]);
};

Markdown.props = ["text"];
