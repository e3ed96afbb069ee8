// The workers, read once a page when something first asks for them.
import { shallowRef } from "vue";
import { get, post } from "../browser/api";
import { previewLinks } from "../model/preview";
import type { Epic, Worker } from "../model/types";

const workers = shallowRef<Worker[]>([]);

const role = shallowRef("");

let asked = false;

// Empty until they are read, and if they cannot be.
function useWorkers() {
  if (!asked) {
    asked = true;
    get("workers").then(
      (found) => (workers.value = found),
      () => (asked = false),
    );
  }
  return workers;
}

// The links to the servers that a session may run on the ports of its epic.
export const previewsOf = (epic: Epic | undefined) =>
  epic?.ports.length ? previewLinks(epic, useWorkers().value, location.hostname) : [];

let askedRole = false;

// Whether the person may open a terminal in an epic's worktree.
export function mayOpenTerminal(epic: Epic | undefined): boolean {
  const worker = useWorkers().value.find((each) => each.name === `workers/${epic?.worker}`);
  if (!worker?.terminals || !epic?.worktree) return false;
  if (!askedRole) {
    askedRole = true;
    post("caller").then(
      (caller) => (role.value = caller.role),
      () => (askedRole = false),
    );
  }
  return role.value === "admin";
}
