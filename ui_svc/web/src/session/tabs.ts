// The session over the board. It opens at once with the board's data; the rest follows.
import TabCosts from "./tabs/TabCosts.vue";
import TabCurrent from "./tabs/TabCurrent.vue";
import TabHistory from "./tabs/TabHistory.vue";
import TabLogs from "./tabs/TabLogs.vue";
import TabQuality from "./tabs/TabQuality.vue";
import TabScreenshots from "./tabs/TabScreenshots.vue";

export const TABS = [
  { key: "current", word: "Current", view: TabCurrent },
  { key: "history", word: "History", view: TabHistory },
  { key: "logs", word: "Logs", view: TabLogs },
  { key: "screenshots", word: "Screenshots", view: TabScreenshots },
  { key: "quality", word: "Quality", view: TabQuality },
  { key: "costs", word: "Costs", view: TabCosts },
];
