import { assert, test } from "vitest";
import { previewLinks } from "../src/model/preview";

const epic = { ports: [20001, 20002], worker: "local" };
const workers = [
  { name: "workers/local", reachable: true },
  { name: "workers/far", reachable: false },
];
const links = (host: string, of = epic) => previewLinks(of, workers, host).map((each) => each.href);

test("the links lead to another name of this machine than the board's, which gets no cookie of it", () => {
  const onLocalhost = ["http://localhost:20001/", "http://localhost:20002/"];
  assert.deepEqual(links("127.0.0.1"), onLocalhost);
  assert.deepEqual(links("[::1]"), onLocalhost);
  assert.deepEqual(links("localhost"), ["http://127.0.0.1:20001/", "http://127.0.0.1:20002/"]);
});

test("ports that this browser does not reach have no link", () => {
  assert.deepEqual(links("heddle.example.org"), []);
  assert.deepEqual(links("127.0.0.1", { ...epic, worker: "far" }), []);
  assert.deepEqual(links("127.0.0.1", { ...epic, worker: "unknown" }), []);
  assert.deepEqual(links("127.0.0.1", { ...epic, ports: [] }), []);
  assert.deepEqual(previewLinks(undefined, workers, "localhost"), []);
});
