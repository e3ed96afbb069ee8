// Colours code once it is in sight: the grammars are loaded then, and the work waits until the browser is idle.
import { onMounted, onUnmounted, ref, shallowRef, watch, type Ref, type ShallowRef } from "vue";
import { whenIdle } from "../browser/idle";
import type { Token } from "./tokens";

// Longer texts stay as they are: a grammar could take a second for them.
const MOST_TEXT = 200_000;
const LONGEST_LINE = 2000;

// Milliseconds.
const PATIENCE = 1000;

let grammars: Promise<typeof import("./grammars")> | null = null;

// Whether an element is or was near the viewport.
export function useSeen(element: Readonly<Ref<Element | null>>): Ref<boolean> {
  const seen = ref(false);
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((each) => each.isIntersecting)) return;
      seen.value = true;
      observer.disconnect();
    },
    { rootMargin: "300px" },
  );
  onMounted(() => element.value && observer.observe(element.value));
  onUnmounted(() => observer.disconnect());
  return seen;
}

// The tokens of each text, line by line, in a language; null until they are known, or if there are none.
// `source` returns null while nothing is to be coloured.
export function useTokens(
  source: () => { texts: string[]; language: string } | null,
): ShallowRef<(Token[][] | null)[] | null> {
  const tokens = shallowRef<(Token[][] | null)[] | null>(null);
  let cancel = () => {};
  let turn = 0;
  watch(
    source,
    async (asked) => {
      const mine = ++turn;
      cancel();
      if (!asked?.language || asked.texts.reduce((sum, text) => sum + text.length, 0) > MOST_TEXT)
        return void (tokens.value = null);
      grammars ??= import("./grammars");
      // Without them, code has one colour.
      const found = await grammars.catch(() => (grammars = null));
      if (!found || mine !== turn) return;
      const results: (Token[][] | null)[] = [];
      const next = (deadline: Pick<IdleDeadline, "timeRemaining">) => {
        do {
          const text = asked.texts[results.length];
          const long = text.split("\n").some((line) => line.length > LONGEST_LINE);
          results.push(long ? null : found.tokensOf(text, asked.language));
        } while (results.length < asked.texts.length && deadline.timeRemaining() > 4);
        if (results.length < asked.texts.length) cancel = whenIdle(next, PATIENCE);
        else tokens.value = results;
      };
      if (asked.texts.length) cancel = whenIdle(next, PATIENCE);
    },
    { immediate: true },
  );
  onUnmounted(() => {
    turn += 1;
    cancel();
  });
  return tokens;
}
