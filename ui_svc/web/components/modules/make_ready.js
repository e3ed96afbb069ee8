// Vue makes code of a component's template when it is first drawn. While the browser has nothing else to do, that is
// done for what will be drawn once data comes or somebody clicks.
import { compile } from "vue";
import { whenIdle } from "./idle.js";

// ms; what one template takes at most, and how long each waits for a browser that never rests.
const ONE = 5;
const PATIENCE = 500;

// Makes `components` ready, each with all that it is made of before the next.
export function makeReady(...components) {
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
