// Where a session works, as commands and links. Pure.

// Returns the text as one word of a shell.
export const quoted = (text: string): string =>
  /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

interface Editor {
  key: string;
  word: string;
  link: (path: string) => string;
}

const encoded = (path: string) => path.split("/").map(encodeURIComponent).join("/");

// The keys are those of the preferences.
const EDITORS: Editor[] = [
  { key: "vscode", word: "VS Code", link: (path) => `vscode://file${encoded(path)}` },
  { key: "jetbrains", word: "JetBrains", link: (path) => `idea://open?file=${encodeURIComponent(path)}` },
  { key: "cursor", word: "Cursor", link: (path) => `cursor://file${encoded(path)}` },
  { key: "zed", word: "Zed", link: (path) => `zed://file${encoded(path)}` },
];

// The links that open a folder in an editor: in the chosen one, or, without a choice, in the common ones.
export function editorLinks(path: string, chosen: string): { word: string; href: string }[] {
  const wanted = EDITORS.filter((editor) => editor.key === chosen);
  return (wanted.length ? wanted : EDITORS.slice(0, 2)).map(({ word, link }) => ({ word, href: link(path) }));
}
