// An address that leads nowhere.
import { pageTitle } from "./attention.js";
import { PageFrame } from "./frame.js";
import { Empty } from "./parts.js";
import { href } from "./paths.js";

export const NotFoundPage = {
  components: { Empty, PageFrame },
  template: /* HTML */ ` <PageFrame :status="{ ready: true }">
    <Empty icon="search" title="Page not found">
      <p>
        The address may be mistyped or incomplete. Runs are at <code>/runs/RUN</code>, their sessions at
        <code>/runs/RUN/epics/EPIC/tasks/TASK/attempts/N</code>.
      </p>
      <p><a class="button primary" :href="home">See all runs</a></p>
    </Empty>
  </PageFrame>`,
  setup() {
    pageTitle.value = "Not found – Heddle";
    return { home: href("/") };
  },
};
