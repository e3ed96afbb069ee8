// Calls of the web app's HTTP endpoints. A failed call throws a Problem.
import { pathPrefix } from "./nicegui";
import { nextCall, noteSignIn } from "./signIn";

export class Problem extends Error {
  constructor(
    message: string,
    // The reason of the error catalogue; empty if it is unknown.
    readonly reason = "",
    readonly violations: { field: string; message: string }[] = [],
  ) {
    super(message);
  }
}

// What a caught error says.
export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

export const apiUrl = (path: string) => `${pathPrefix()}/api/${path}`;

// For a request that can be repeated: the server takes it once. `randomUUID` needs HTTPS or loopback.
export const newId = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

export const get = (path: string) => call(path, {});

export const post = (path: string, body: object = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...proof() },
    body: JSON.stringify(body),
  });

// What the sign-in stored for changes: the cookie only reads, because other ports of this host receive it, too.
export const wholeToken = () => localStorage.getItem("heddle-token") ?? "";

function proof(): Record<string, string> {
  const token = wholeToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function call(path: string, options: RequestInit): Promise<any> {
  const number = nextCall();
  let response: Response;
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
