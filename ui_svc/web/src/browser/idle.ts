// Work that can wait until the browser is idle.

// Safari has no idle callbacks.
const SOON = 50;

// `act` gets the idle deadline; it runs after `patience` ms even if the browser is never idle.
// Returns a function that cancels it.
export function whenIdle(
  act: (deadline: Pick<IdleDeadline, "timeRemaining">) => void,
  patience: number,
): () => void {
  if ("requestIdleCallback" in window) {
    const due = requestIdleCallback(act, { timeout: patience });
    return () => cancelIdleCallback(due);
  }
  const due = setTimeout(() => act({ timeRemaining: () => SOON }), SOON);
  return () => clearTimeout(due);
}
