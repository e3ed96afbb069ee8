// Icons as stroked paths on a 16 × 16 grid.
import { h, type FunctionalComponent } from "vue";

const PATHS: Record<string, string> = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  circle: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3",
  spinner: "M8 2.5a5.5 5.5 0 1 1-5.5 5.5",
  hand: "M8 4.5v4M8 11.2v.3M8 1.8l6.2 6.2L8 14.2 1.8 8z",
  stop: "M4.5 4.5h7v7h-7z",
  skip: "M3 8a5 5 0 1 0 10 0A5 5 0 0 0 3 8M4.6 4.6l6.8 6.8",
  shield: "M8 2l5 2v4c0 3-2.2 5-5 6-2.8-1-5-3-5-6V4zM5.8 8l1.6 1.6L10.4 6.5",
  lock: "M4.5 7.5h7v5.5h-7zM6 7.5V5.5a2 2 0 0 1 4 0v2",
  replay: "M3.2 6A5 5 0 1 1 3 9M2.9 2.8V6h3.2M8 5.5v3l2 1.2",
  columns: "M2.5 3.5h11v9h-11zM8 3.5v9",
  merge: "M4.5 3v10M4.5 6c0 3 7 2 7 5.5M11.5 13v-1.5",
  broken: "M2.5 8h3l1.5-3.5M9 11.5l1.5-3.5h3",
  pause: "M5.5 4v8M10.5 4v8",
  play: "M5 3.5l7 4.5-7 4.5z",
  left: "M10 3.5L5.5 8l4.5 4.5",
  move: "M2.5 8h10M9 4.5L12.5 8 9 11.5",
  right: "M6 3.5L10.5 8 6 12.5",
  down: "M3.5 6L8 10.5 12.5 6",
  up: "M3.5 10L8 5.5l4.5 4.5",
  bolt: "M8.8 1.8L3.5 9h4l-.5 5.2L12.5 7h-4z",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  terminal: "M3 4.5L6.5 8 3 11.5M8 12h5",
  edit: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3zM9 4.7L11.3 7",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3L13.5 13.5",
  link:
    "M6.8 9.2a2.5 2.5 0 0 0 3.6 0l2-2a2.5 2.5 0 0 0-3.6-3.6l-.8.8" +
    "M9.2 6.8a2.5 2.5 0 0 0-3.6 0l-2 2a2.5 2.5 0 0 0 3.6 3.6l.8-.8",
  send: "M2.5 8L13.5 3 10 13.5 7.5 9z",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  download: "M8 2.5v7M5 7l3 3 3-3M3 13h10",
  sun:
    "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6" +
    "M8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5",
  minus: "M3 8h10",
  plus: "M8 3v10M3 8h10",
  retry: "M12.5 6A5 5 0 1 0 13 9M12.8 2.8V6H9.6",
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3.2l2.2 1.3",
  image: "M2.5 3.5h11v9h-11zM2.5 11l3.5-3.5 3 3 2-2 2.5 2.5M10.5 6h.01",
  branch: "M4.5 2.5v11M4.5 9.5c0-3 7-1 7-5.5V3",
  thought: "M4 12.5l.5-2A5 5 0 1 1 8 12.5z",
  rows: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  cards: "M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5h-4.5zM2.5 9h4.5v4.5h-4.5zM9 9h4.5v4.5h-4.5z",
  coin: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M9.8 6.2c-.4-.7-3.4-1.1-3.4.4s3.4.8 3.4 2.5-3 1.4-3.6.5M8 4.4v7.2",
  grid: "M2.5 2.5h11v11h-11zM2.5 6.2h11M2.5 9.8h11M6.2 2.5v11M9.8 2.5v11",
  sunrise: "M2 12.5h12M4.5 12.5a3.5 3.5 0 0 1 7 0M8 3v3M3.2 5.8l1.5 1.5M12.8 5.8l-1.5 1.5",
  printer: "M4.5 6V2.5h7V6M4.5 11.5h-2v-5h11v5h-2M4.5 9.5h7v4h-7z",
  user: "M8 8.2a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2M3 13.5c.4-2.6 2.4-3.8 5-3.8s4.6 1.2 5 3.8",
  keyboard: "M1.8 4.5h12.4v7H1.8zM4.5 7h.01M7 7h.01M9.5 7h.01M12 7h.01M5 9.5h6",
};

export const Icon: FunctionalComponent<{ name: string }> = ({ name }) =>
  h(
    "svg",
    { class: ["icon", `icon-${name}`], viewBox: "0 0 16 16", "aria-hidden": "true" },
    h("path", { d: PATHS[name] ?? PATHS.circle }),
  );

Icon.props = ["name"];
