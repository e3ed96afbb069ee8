// The address of a run's page: its view, and the session that is open over it.
import { pathPrefix } from "../browser/nicegui";
import { href } from "../browser/paths";

export const VIEWS = [
  { key: "board", word: "Board" },
  { key: "timeline", word: "Timeline" },
  { key: "changes", word: "Changes" },
  { key: "conflicts", word: "Conflicts" },
  { key: "report", word: "Report" },
  { key: "plan", word: "Plan" },
];

// What the address of a run's page says.
export interface At {
  view: string;
  // The resource name of a task or attempt; empty if none is open.
  session: string;
  tab: string;
  // Milliseconds; 0: as it is now.
  moment: number;
}

// Views that can show the past; the others show only the present.
const REPLAYED = new Set(["board", "timeline"]);

export function readAddress(run: string): At {
  const path = decoded(location.pathname.slice(pathPrefix().length + 1));
  const rest = path.slice(run.length + 1);
  const session = rest.startsWith("epics/") ? path : "";
  // Below a session is the view that it was opened from.
  const key = session ? history.state?.view : rest;
  const view = VIEWS.some((each) => each.key === key) ? key : "board";
  return {
    view,
    session,
    moment: ((session || REPLAYED.has(view)) && Number(new URLSearchParams(location.search).get("at"))) || 0,
    // A link to a line needs no tab.
    tab: new URLSearchParams(location.search).get("tab") ?? (location.hash.startsWith("#L") ? "logs" : ""),
  };
}

export function addressOf(run: string, at: Partial<At> & Pick<At, "view">): string {
  const { view, session, tab, moment } = at;
  const asked = new URLSearchParams();
  if (session && tab) asked.set("tab", tab);
  if (moment && (session || REPLAYED.has(view))) asked.set("at", String(Math.round(moment)));
  const path = session || (view === "board" ? run : `${run}/${view}`);
  return href(`/${path}`) + (asked.size ? `?${asked}` : "");
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

// Where a person resolves the conflict of an epic.
export function resolverAddress(epic: string): string {
  const [run, key] = epic.split("/epics/");
  return href(`/${run}/conflicts?resolve=${key}`);
}
