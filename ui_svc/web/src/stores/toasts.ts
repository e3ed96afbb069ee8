// Short messages about the operator's actions.
import { reactive, readonly } from "vue";

interface Toast {
  id: number;
  text: string;
  tone: string;
}

const shown = reactive<Toast[]>([]);

export const toasts = readonly(shown);

let serial = 0;

export function toast(text: string, tone = "ok"): void {
  const it = { id: ++serial, text, tone };
  shown.push(it);
  const seconds = tone === "bad" ? 12 : 4;
  setTimeout(() => dismiss(it.id), seconds * 1000);
}

export function dismiss(id: number): void {
  const place = shown.findIndex((each) => each.id === id);
  if (place >= 0) shown.splice(place, 1);
}
