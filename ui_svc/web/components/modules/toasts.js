// Short messages about the operator's actions.
import { h, reactive } from "vue";

const shown = reactive([]);
let serial = 0;

export function toast(text, tone = "ok") {
  const it = { id: ++serial, text, tone };
  shown.push(it);
  const seconds = tone === "bad" ? 12 : 4;
  setTimeout(() => dismiss(it.id), seconds * 1000);
}

function dismiss(id) {
  const place = shown.findIndex((each) => each.id === id);
  if (place >= 0) shown.splice(place, 1);
}

export const Toasts = () =>
  h(
    "div",
    { class: "toasts", role: "status", "aria-live": "polite" },
    shown.map((it) =>
      h("div", { key: it.id, class: ["toast", `tone-${it.tone}`] }, [
        h("span", it.text),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": "Dismiss", onClick: () => dismiss(it.id) },
          "✕",
        ),
      ]),
    ),
  );
