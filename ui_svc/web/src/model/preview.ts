// The servers that a session may run on the ports of its epic. Pure.
import type { Epic, Worker } from "./types";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

// Browsers send cookies to all ports of a host, so the links lead to another name of this machine than the board's.
const otherName = (host: string) => (host === "localhost" ? "127.0.0.1" : "localhost");

// The links to an epic's ports; empty if a browser whose address bar shows `host` does not reach them.
export function previewLinks(
  epic: Pick<Epic, "ports" | "worker"> | undefined,
  workers: readonly Pick<Worker, "name" | "reachable">[],
  host: string,
): { word: string; href: string }[] {
  if (!epic?.ports.length || !LOOPBACK.has(host)) return [];
  const worker = workers.find((each) => each.name === `workers/${epic.worker}`);
  if (!worker?.reachable) return [];
  return epic.ports.map((port) => {
    const word = `${otherName(host)}:${port}`;
    return { word, href: `http://${word}/` };
  });
}
