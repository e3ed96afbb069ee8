// The editor that NiceGUI provides; it is loaded only where it is used.
export const loadEditor = () => import("nicegui-codemirror");

// The highlighted parts are those of an editor theme; the colours are the design's.
const COLOURS: Record<string, string> = {
  "#98c379": "var(--code-string)",
  "#d19a66": "var(--code-number)",
  "#e5c07b": "var(--code-number)",
  "#7d8799": "var(--code-comment)",
  "#e06c75": "var(--code-attribute)",
  "#61afef": "var(--code-name)",
  "#56b6c2": "var(--code-attribute)",
  "#c678dd": "var(--code-keyword)",
};

export const editorColours = (cm: any) =>
  cm.syntaxHighlighting(
    cm.HighlightStyle.define(
      cm.oneDarkHighlightStyle.specs.map((spec: any) =>
        spec.color ? { ...spec, color: COLOURS[spec.color] ?? "var(--text)" } : spec,
      ),
    ),
  );
