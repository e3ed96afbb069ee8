// Work that can wait until the browser has nothing else to do.

// Safari has no idle callbacks.
const SOON = 50;

// `act` gets what tells how much time is left; it runs after `patience` ms even if the browser never rests.
// Returns a function that calls it off.
export function whenIdle(act, patience) {
  if (window.requestIdleCallback) {
    const due = requestIdleCallback(act, { timeout: patience });
    return () => cancelIdleCallback(due);
  }
  const due = setTimeout(() => act({ timeRemaining: () => SOON }), SOON);
  return () => clearTimeout(due);
}
