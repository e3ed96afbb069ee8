// The pages, by the tag of the element that the web app makes of each.
import "./browser/nicegui";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/board.css";
import "./styles/session.css";
import "./styles/log.css";
import "./styles/runs.css";
import "./styles/attention.css";
import "./styles/changes.css";
import "./styles/code.css";
import "./styles/new_run.css";
import "./styles/print.css";
import CostsPage from "./costs/CostsPage.vue";
import NotFoundPage from "./frame/NotFoundPage.vue";
import NewRunPage from "./newRun/NewRunPage.vue";
import RunPage from "./run/RunPage.vue";
import RunsPage from "./runs/RunsPage.vue";
import TerminalPage from "./terminal/TerminalPage.vue";

export const PAGES = {
  "heddle-costs": CostsPage,
  "heddle-new-run": NewRunPage,
  "heddle-not-found": NotFoundPage,
  "heddle-run": RunPage,
  "heddle-runs": RunsPage,
  "heddle-terminal": TerminalPage,
};
