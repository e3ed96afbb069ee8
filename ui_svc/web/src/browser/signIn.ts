// A sign-in proxy in front of the web app. Once a sign-in has expired, the proxy answers instead of the web app.
import { ref } from "vue";

// Whether the sign-in has expired.
export const signedOut = ref(false);

// Calls are numbered in the order of sending: one that was sent before the sign-in expired
// may be answered after a later one that was refused, and does not show the current state.
let sent = 0;

let newest = 0;

export const nextCall = () => ++sent;

// Returns whether a response, of a call that follows no redirects, comes from the sign-in: it refuses, or
// redirects, which no endpoint of the web app does. Stores the result, unless a later call did.
export function noteSignIn(response: Pick<Response, "status" | "type">, number = nextCall()): boolean {
  const refused = response.status === 401 || response.type === "opaqueredirect";
  if (number >= newest) {
    newest = number;
    signedOut.value = refused;
  }
  return refused;
}
