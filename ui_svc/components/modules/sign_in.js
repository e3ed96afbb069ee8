// A sign-in that stands in front of the web app. Once it has expired, it answers in the web app's place.
import { ref } from "vue";

// Whether it does so now.
export const signedOut = ref(false);

// Notes whether an answer, which must not follow redirects, is that of a sign-in: it refuses, or
// sends people to a page of its own, which no endpoint of the web app does.
export function noteSignIn(response) {
  signedOut.value = response.status === 401 || response.type === "opaqueredirect";
  return signedOut.value;
}
