// Calls of the web app's HTTP endpoints. A failed call throws a Problem.
import { nextCall, noteSignIn } from "./sign_in.js";

export class Problem extends Error {
  constructor(message, reason = "", violations = []) {
    super(message);
    this.reason = reason;
    this.violations = violations;
  }
}

export const apiUrl = (path) => `${window.path_prefix ?? ""}/api/${path}`;

export const get = (path) => call(path, {});

export const post = (path, body = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

async function call(path, options) {
  const number = nextCall();
  let response;
  try {
    response = await fetch(apiUrl(path), { ...options, redirect: "manual" });
  } catch {
    throw new Problem("The web app does not answer. Nothing was changed; try again in a moment.", "OFFLINE");
  }
  if (noteSignIn(response, number))
    throw new Problem("Your sign-in has expired. Nothing was changed; sign in again.", "SIGNED_OUT");
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const message = answer.message ?? `The web app answered ${response.status}. Try again in a moment.`;
    throw new Problem(message, answer.reason, answer.violations);
  }
  return answer;
}
