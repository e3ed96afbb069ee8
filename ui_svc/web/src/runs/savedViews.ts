// Views of the list that a person keeps in this browser: a name, and what the address says of the filters.
import { readonly, ref } from "vue";

const KEPT = "heddle-views";

const MOST = 20;

export interface SavedView {
  name: string;
  // A query string without the page.
  query: string;
}

const views = ref<SavedView[]>(read());

export function useSavedViews() {
  return { views: readonly(views), save, remove };
}

// A view of the same name is replaced.
function save(view: SavedView) {
  keep([...read().filter((each) => each.name !== view.name), view].slice(-MOST));
}

const remove = (name: string) => keep(read().filter((each) => each.name !== name));

function keep(all: SavedView[]) {
  localStorage.setItem(KEPT, JSON.stringify(all));
  views.value = all;
}

function read(): SavedView[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return found.filter((each: any) => typeof each.name === "string" && typeof each.query === "string");
  } catch {
    return [];
  }
}
