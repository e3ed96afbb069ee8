// Reads Markdown as tokens. A chunk of its own: only pages that show an agent's text load it.
import MarkdownIt from "markdown-it";

// What is used of markdown-it's tokens.
export interface Token {
  type: string;
  tag: string;
  // 1 opens, -1 closes, 0 is complete.
  nesting: number;
  content: string;
  // The language after the fence of a code block.
  info: string;
  // A paragraph of a tight list, whose text stands alone.
  hidden: boolean;
  // The first line, and the one after the last.
  map: [number, number] | null;
  children: Token[] | null;
  attrGet(name: string): string | null;
}

// Tags in the text stay text, and what is nested deeper than this is not read.
const reader = new MarkdownIt({ html: false, linkify: false, maxNesting: 20 });

export const parse = (text: string) => reader.parse(text, {}) as Token[];
