// Renders agents' markdown as elements and text: HTML in it stays text.
import { h, type FunctionalComponent, type VNode } from "vue";
import { plain } from "../model/text";

// Limits, as the text may be anything: only the end of a longer text is shown, after too many parts
// the rest is plain text, and no pattern matches more than this many characters.
const MOST_TEXT = 60_000;

const MOST_BLOCKS = 2000;

const MOST_PARTS = 2000;

const DEEPEST = 8;

const INLINE = new RegExp(
  [
    /(`{1,3})([^`]{1,2000}?)\1/,
    /\*\*([^*]{1,2000}?)\*\*/,
    /__([^_]{1,2000}?)__/,
    /\*([^*\s][^*]{0,2000}?)\*/,
    /!?\[([^\]]{0,500})\]\(([^)\s]{0,2000})\)/,
  ]
    .map((each) => each.source)
    .join("|"),
);

function inline(text: string): (VNode | string)[] {
  const parts: (VNode | string)[] = [];
  let rest = text;
  for (let match = INLINE.exec(rest); match && parts.length < MOST_PARTS; match = INLINE.exec(rest)) {
    if (match.index) parts.push(rest.slice(0, match.index));
    parts.push(span(match));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) parts.push(rest);
  return parts;
}

function span(match: RegExpExecArray): VNode | string {
  const [whole, , code, strong, strongToo, emphasis, label, target] = match;
  if (code !== undefined) return h("code", code);
  if (strong ?? strongToo) return h("strong", inline(strong ?? strongToo));
  if (emphasis) return h("em", inline(emphasis));
  // Images are not loaded, and only web addresses are followed.
  if (/^https?:\/\//i.test(target) && !whole.startsWith("!")) {
    return h("a", { href: target, target: "_blank", rel: "noopener noreferrer nofollow" }, label || target);
  }
  return `${label} (${target})`;
}

const FENCE = /^\s*(```|~~~)/;

const HEADING = /^(#{1,6})\s+(.*)/;

const ITEM = /^(\s*)([-*+]|\d+[.)])\s+(.*)/;

const QUOTE = /^>\s?/;

const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;

function blocks(lines: string[], depth = 0): VNode[] {
  const out: VNode[] = [];
  for (let at = 0; at < lines.length;) {
    if (out.length >= MOST_BLOCKS) {
      out.push(h("pre", { tabindex: 0 }, lines.slice(at).join("\n")));
      break;
    }
    const line = lines[at];
    const heading = HEADING.exec(line);
    if (!line.trim()) {
      at += 1;
    } else if (FENCE.test(line)) {
      const stop = until(lines, at, (each) => FENCE.test(each));
      out.push(h("pre", { tabindex: 0 }, h("code", lines.slice(at + 1, stop).join("\n"))));
      at = stop + 1;
    } else if (heading) {
      out.push(h("p", { class: `md-h md-h${heading[1].length}` }, inline(heading[2])));
      at += 1;
    } else if (RULE.test(line)) {
      out.push(h("hr"));
      at += 1;
    } else if (QUOTE.test(line) && depth < DEEPEST) {
      const stop = until(lines, at, (each) => !QUOTE.test(each));
      out.push(
        h(
          "blockquote",
          blocks(
            lines.slice(at, stop).map((each) => each.replace(QUOTE, "")),
            depth + 1,
          ),
        ),
      );
      at = stop;
    } else if (ITEM.test(line)) {
      const stop = until(lines, at, (each) => !ITEM.test(each) && !/^\s+\S/.test(each));
      out.push(list(lines.slice(at, stop)));
      at = stop;
    } else {
      const stop = until(
        lines,
        at,
        (each) => !each.trim() || FENCE.test(each) || HEADING.test(each) || ITEM.test(each),
      );
      out.push(h("p", inline(lines.slice(at, Math.max(stop, at + 1)).join("\n"))));
      at = Math.max(stop, at + 1);
    }
  }
  return out;
}

function until(lines: string[], from: number, ends: (line: string) => boolean): number {
  let at = from + 1;
  while (at < lines.length && !ends(lines[at])) at += 1;
  return at;
}

function list(lines: string[]): VNode {
  const items: { depth: number; mark: string; text: string }[] = [];
  for (const line of lines) {
    const match = ITEM.exec(line);
    if (match)
      items.push({ depth: Math.min(4, Math.floor(match[1].length / 2)), mark: match[2], text: match[3] });
    else if (items.length) items[items.length - 1].text += `\n${line.trim()}`;
  }
  const ordered = /\d/.test(items[0].mark);
  return h(
    ordered ? "ol" : "ul",
    ordered ? { start: parseInt(items[0].mark, 10) || 1 } : {},
    items.map((item) =>
      h("li", { style: item.depth ? { marginLeft: `${item.depth * 1.2}em` } : undefined }, inline(item.text)),
    ),
  );
}

export const Markdown: FunctionalComponent<{ text: string }> = ({ text }) =>
  h("div", { class: "markdown" }, [
    text.length > MOST_TEXT ? h("p", { class: "quiet" }, "The beginning of this text is in the log.") : null,
    ...blocks(plain(text.slice(-MOST_TEXT)).split("\n")),
  ]);

Markdown.props = ["text"];
