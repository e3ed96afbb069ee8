import { assert, test } from "vitest";
import { nextCall, noteSignIn, signedOut } from "../src/browser/signIn";

const response = (status: number, type = "basic") => ({ status, type }) as Response;

test("a late answer to a call from before the sign-in expired does not count", () => {
  const earlier = nextCall();
  assert.ok(noteSignIn(response(401)));
  assert.ok(!noteSignIn(response(200), earlier));
  assert.ok(signedOut.value);
});

test("a redirect is the sign-in; a server error is not", () => {
  assert.ok(noteSignIn(response(0, "opaqueredirect")));
  assert.ok(!noteSignIn(response(503)));
  assert.ok(!signedOut.value);
});
