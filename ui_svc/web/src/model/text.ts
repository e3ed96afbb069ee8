// Untrusted text of agents, made safe to show.

// Terminal control sequences: CSI, OSC with its end, and the two-letter ones.
const SEQUENCES =
  // eslint-disable-next-line no-control-regex -- these are the characters to find
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;

// Other control characters, and those that reorder or hide the text around them.
const HIDDEN =
  // eslint-disable-next-line no-control-regex -- these are the characters to find
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const shown = (character: string) =>
  `\u2039${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}\u203a`;

// Returns the text without colours, with every hidden character made visible.
export const plain = (text: string): string =>
  text.replace(SEQUENCES, "").replace(/\r+\n/g, "\n").replace(HIDDEN, shown);

// A clause that says which command of a terminal comes next; a page has a button for it.
const COMMAND =
  / \(heddle [^)]*\)|[;:,] (?:[^;:`]*? )?`?heddle (?:budget|drop|merge|push|resolve|resume|retry|skip|sync)\b[^;]*/g;

// Returns a server's sentence without the commands of a terminal that it advises.
export const withoutCommands = (text: string): string => text.replace(COMMAND, "");

// The same as one plain text, for a title.
export const spoken = (text: string): string => plain(withoutCommands(text)).replaceAll("`", "");

// Splits a text into what is in backticks, as code, and the rest.
export const codeParts = (text: string): { text: string; code: boolean }[] =>
  text
    .split(/`([^`\n]+)`/)
    .map((part, place) => ({ text: part, code: place % 2 === 1 }))
    .filter((part) => part.text);

// What a session waits for after its agent's turn.
export const waitingFor = (names: string[]) =>
  `Waiting for ${names.length} background task${names.length === 1 ? "" : "s"}: ${plain(names.join("; "))}`;

// Returns what a terminal shows of a line that was rewritten with carriage returns.
export const lastOverwrite = (line: string) =>
  line.slice(line.lastIndexOf("\r", line.length - 2) + 1).replace(/\r$/, "");
