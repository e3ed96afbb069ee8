// Controls of the board: groups, search, density.
import { GROUPS } from "../model/status";

export const KEPT = "heddle-density";

// The address holds the search and the group; the browser's storage holds the density.
// `only` is a group, `q` the search.
export interface Choice {
  only: string;
  q: string;
  density: string;
}

export function readChoice(): Choice {
  const query = new URLSearchParams(location.search);
  return {
    only: GROUPS.find((group) => group.key === query.get("show"))?.key ?? "",
    q: query.get("q") ?? "",
    density: localStorage.getItem(KEPT) === "compact" ? "compact" : "comfortable",
  };
}
