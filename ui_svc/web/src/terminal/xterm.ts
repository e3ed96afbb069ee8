// The terminal itself. A chunk of its own: only the page of a terminal loads it.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal, type ITheme } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

export interface Size {
  columns: number;
  rows: number;
}

// The colours of the page, which may change.
function theme(): ITheme {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const chosen = document.documentElement.dataset.theme;
  const onDark = chosen ? chosen === "dark" : dark;
  // Canvas colours cannot be functions such as light-dark().
  return onDark
    ? { background: "#131418", foreground: "#e8e9ec", cursor: "#e8e9ec", selectionBackground: "#3b4252" }
    : {
        background: "#ffffff",
        foreground: "#1b1c20",
        cursor: "#1b1c20",
        selectionBackground: "#cfd8ea",
        // Readable on white.
        brightYellow: "#8a6a00",
        yellow: "#7a5c00",
        brightGreen: "#1a7f37",
        green: "#116329",
        brightWhite: "#57606a",
        white: "#57606a",
        brightCyan: "#1b7c83",
        cyan: "#1b7c83",
      };
}

export function openTerminal(
  box: HTMLElement,
  onInput: (keys: string) => void,
  onSize: (size: Size) => void,
  leave: () => void,
) {
  const terminal = new Terminal({
    theme: theme(),
    fontFamily: "ui-monospace, 'SF Mono', Menlo, Consolas, 'Liberation Mono', monospace",
    fontSize: 13,
    scrollback: 5000,
    screenReaderMode: true,
    allowProposedApi: false,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  const size = (): Size => ({ columns: terminal.cols, rows: terminal.rows });
  terminal.onData(onInput);
  terminal.onResize(() => onSize(size()));
  // Tab belongs to the shell; this key leaves the terminal.
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.type !== "keydown" || event.key !== "F6") return true;
    leave();
    return false;
  });
  const adapt = () => fit.fit();
  const watching = new ResizeObserver(adapt);
  watching.observe(box);
  const paint = () => (terminal.options.theme = theme());
  const themed = new MutationObserver(paint);
  themed.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", paint);
  adapt();
  terminal.focus();
  return {
    size,
    show: (output: Uint8Array) => terminal.write(output),
    focus: () => terminal.focus(),
    clear: () => terminal.reset(),
    close() {
      watching.disconnect();
      themed.disconnect();
      system.removeEventListener("change", paint);
      terminal.dispose();
    },
  };
}
