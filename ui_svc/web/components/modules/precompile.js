// Vue compiles a component's template when it is first drawn. While the browser is idle, this compiles
// the templates that are drawn once data arrives or the operator clicks.
import { compile } from "vue";
import { whenIdle } from "./idle.js";

// ms; how long one template takes at most, and how long each waits for a browser that is never idle.
const ONE = 5;
const PATIENCE = 500;

// Compiles `components`, each with its children before the next.
export function precompile(...components) {
  const known = new Set();
  const add = (component) => {
    if (known.has(component)) return;
    known.add(component);
    Object.values(component.components ?? {}).forEach(add);
  };
  components.forEach(add);
  const queue = [...known].filter((component) => component.template);
  whenIdle(function next(deadline) {
    do {
      const component = queue.shift();
      if (!component) return;
      component.render ??= compile(component.template);
    } while (deadline.timeRemaining() > ONE);
    whenIdle(next, PATIENCE);
  }, PATIENCE);
}
