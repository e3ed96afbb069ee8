// The commands of the palette: every part of the page offers its own.
import { onUnmounted, shallowReactive } from "vue";

// A command of the palette.
export interface Command {
  word: string;
  hint?: string;
  icon?: string;
  run: () => unknown;
}

const sources = shallowReactive(new Set<() => Command[]>());

// The commands of `source()` are offered while the caller's component lives.
export function offer(source: () => Command[]): void {
  sources.add(source);
  onUnmounted(() => sources.delete(source));
}

export const offered = () => [...sources].flatMap((source) => source());

// Returns the commands that contain every word of `query`; those that begin with it come first.
export function matching<C extends Pick<Command, "word" | "hint">>(commands: C[], query: string): C[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (command: C) => {
    const text = command.word.toLowerCase();
    if (text.startsWith(words[0] ?? "")) return 0;
    return words.every((word) => text.includes(word)) ? 1 : 2;
  };
  return commands
    .filter((command) =>
      words.every((word) => `${command.word} ${command.hint ?? ""}`.toLowerCase().includes(word)),
    )
    .map((command, place) => ({ command, place, rank: rank(command) }))
    .sort((a, b) => a.rank - b.rank || a.place - b.place)
    .map((each) => each.command);
}
