// A sign-in that stands in front of the web app. Once it has expired, it answers in the web app's place.
import { ref } from "vue";

// Whether it does so now.
export const signedOut = ref(false);

// Calls are numbered in the order in which they are sent: one that was under way as the sign-in
// expired may be answered after a later one that was refused, and says nothing of now.
let sent = 0;
let newest = 0;

export const nextCall = () => ++sent;

// Returns whether an answer, which must not follow redirects, is that of a sign-in: it refuses, or sends
// people to a page of its own, which no endpoint of the web app does. Notes it, unless a later call has.
export function noteSignIn(response, number = nextCall()) {
  const refused = response.status === 401 || response.type === "opaqueredirect";
  if (number >= newest) {
    newest = number;
    signedOut.value = refused;
  }
  return refused;
}
