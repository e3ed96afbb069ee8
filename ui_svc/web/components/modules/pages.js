// The pages, by the tag of the element that the web app makes of each.
import { CostsPage } from "./costs_page.js";
import { NewRunPage } from "./new_run.js";
import { NotFoundPage } from "./not_found.js";
import { RunPage } from "./run_page.js";
import { RunsPage } from "./runs.js";

export const PAGES = {
  "heddle-costs": CostsPage,
  "heddle-new-run": NewRunPage,
  "heddle-not-found": NotFoundPage,
  "heddle-run": RunPage,
  "heddle-runs": RunsPage,
};
