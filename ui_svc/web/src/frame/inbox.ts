// The items that wait, in groups of the same run and kind, with what one click does for all of a group. Pure.
import type { AttentionItem } from "../model/types";

export interface InboxGroup {
  key: string;
  kind: string;
  run: string;
  items: AttentionItem[];
}

// Groups stand where their first item does, and keep the order of their items.
export function grouped(items: AttentionItem[]): InboxGroup[] {
  const groups = new Map<string, InboxGroup>();
  for (const item of items) {
    const key = `${item.run} ${item.kind}`;
    const group = groups.get(key);
    if (group) group.items.push(item);
    else groups.set(key, { key, kind: item.kind, run: item.run_title || item.run, items: [item] });
  }
  return [...groups.values()];
}
