// The grammars, in a file of their own: it is loaded when code comes into sight.
import dockerfile from "highlight.js/lib/languages/dockerfile";
import { common, createLowlight } from "lowlight";
import type { Token } from "./tokens";

const lowlight = createLowlight({ ...common, dockerfile });

// The kinds that have a colour of their own, by what highlight.js calls them.
const KINDS: Record<string, string> = {
  keyword: "keyword",
  built_in: "name",
  type: "name",
  class: "name",
  title: "name",
  "selector-tag": "name",
  "selector-class": "name",
  "selector-id": "name",
  section: "name",
  name: "name",
  string: "string",
  regexp: "string",
  "meta string": "string",
  number: "number",
  literal: "number",
  symbol: "number",
  comment: "comment",
  quote: "comment",
  doctag: "comment",
  attr: "attribute",
  attribute: "attribute",
  property: "attribute",
  variable: "attribute",
  "template-variable": "attribute",
  meta: "attribute",
};

// The end of a text in the language of a file or of a block of code, line by line; null if it is not known.
export function tokensOf(text: string, language: string): Token[][] | null {
  if (!lowlight.registered(language)) return null;
  const lines: Token[][] = [[]];
  const walk = (nodes: any[], kind: string) => {
    for (const node of nodes) {
      if (node.type === "element") {
        const name = String(node.properties?.className?.[0] ?? "").replace(/^hljs-/, "");
        walk(node.children, KINDS[name] ?? kind);
        continue;
      }
      const [first, ...rest] = node.value.split("\n");
      if (first) lines.at(-1)!.push({ text: first, kind });
      for (const line of rest) lines.push(line ? [{ text: line, kind }] : []);
    }
  };
  walk(lowlight.highlight(language, text).children, "");
  return lines;
}
