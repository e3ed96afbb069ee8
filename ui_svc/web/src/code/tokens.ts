// Pieces of code with the kind that decides their colour.

export interface Token {
  text: string;
  // keyword, name, string, number, comment or attribute; empty: plain text.
  kind: string;
}

export interface Piece extends Token {
  // It differs from the line that this one replaces.
  changed: boolean;
}

const LANGUAGES: Record<string, string> = {
  bash: "bash",
  c: "c",
  cc: "cpp",
  cfg: "ini",
  conf: "ini",
  cpp: "cpp",
  cs: "csharp",
  css: "css",
  cts: "typescript",
  cxx: "cpp",
  go: "go",
  gql: "graphql",
  graphql: "graphql",
  h: "c",
  hpp: "cpp",
  htm: "xml",
  html: "xml",
  ini: "ini",
  java: "java",
  js: "javascript",
  json: "json",
  jsonc: "json",
  jsx: "javascript",
  kt: "kotlin",
  kts: "kotlin",
  less: "less",
  lua: "lua",
  m: "objectivec",
  md: "markdown",
  mjs: "javascript",
  mk: "makefile",
  mts: "typescript",
  php: "php",
  pl: "perl",
  pm: "perl",
  py: "python",
  pyi: "python",
  r: "r",
  rb: "ruby",
  rs: "rust",
  scss: "scss",
  sh: "bash",
  sql: "sql",
  svg: "xml",
  swift: "swift",
  toml: "ini",
  ts: "typescript",
  tsx: "typescript",
  vb: "vbnet",
  vue: "xml",
  wat: "wasm",
  xml: "xml",
  yaml: "yaml",
  yml: "yaml",
  zsh: "bash",
};

const NAMES: Record<string, string> = {
  dockerfile: "dockerfile",
  makefile: "makefile",
  containerfile: "dockerfile",
};

// The language of a file by its name; empty if there is none.
export function languageOf(path: string): string {
  const name = (path.split("/").at(-1) ?? "").toLowerCase();
  return NAMES[name] ?? (name.includes(".") ? (LANGUAGES[name.split(".").at(-1) ?? ""] ?? "") : "");
}

// The language of a fenced block by what follows its fence, such as `py`, `python title="a"` or `12:20:src/a.py`;
// empty if that names none.
export function languageOfFence(info: string): string {
  const word = (info.trim().split(/[\s{,]/)[0] ?? "").toLowerCase();
  return languageOf(word) || languageOf(`.${word}`) || (/[./:]/.test(word) ? "" : word);
}

// A line as its tokens, cut where the changed part of it begins and ends.
export function piecesOf(
  text: string,
  tokens: Token[] | undefined,
  parts?: [string, string, string],
): Piece[] {
  const fits = tokens?.map((each) => each.text).join("") === text;
  const all = fits && tokens ? tokens : [{ text, kind: "" }];
  if (!parts) return all.map((each) => ({ ...each, changed: false }));
  const from = parts[0].length;
  const to = from + parts[1].length;
  const pieces: Piece[] = [];
  let at = 0;
  for (const token of all) {
    const cuts = [from - at, to - at].filter((cut) => cut > 0 && cut < token.text.length);
    let begun = 0;
    for (const end of [...cuts, token.text.length]) {
      const place = at + begun;
      if (end > begun)
        pieces.push({
          text: token.text.slice(begun, end),
          kind: token.kind,
          changed: place >= from && place < to,
        });
      begun = end;
    }
    at += token.text.length;
  }
  return pieces;
}
