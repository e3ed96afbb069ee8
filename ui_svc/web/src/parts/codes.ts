// A sentence in which `code` between backticks is shown as code.
import { h, type FunctionalComponent } from "vue";
import { plain } from "../model/text";

export const Codes: FunctionalComponent<{ text: string }> = ({ text }) =>
  plain(text)
    .split(/`([^`]+)`/)
    .map((part, place) => (place % 2 ? h("code", part) : part));

Codes.props = ["text"];
