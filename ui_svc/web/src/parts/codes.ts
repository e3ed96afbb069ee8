// A sentence in which `code` between backticks is shown as code. Unlike Words, it keeps commands of a terminal.
import { h, type FunctionalComponent } from "vue";
import { codeParts, plain } from "../model/text";

export const Codes: FunctionalComponent<{ text: string }> = ({ text }) =>
  codeParts(plain(text)).map((part) => (part.code ? h("code", part.text) : part.text));

Codes.props = ["text"];
