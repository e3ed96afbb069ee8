import type { Attempt } from "../../model/types";
import type { Details } from "../../stores/sessionReplay";

// A check's reports: new failures first, then fixed ones, coverage and findings.

export const signed = (value: number, digits = 0) =>
  `${value > 0 ? "+" : value < 0 ? "−" : "±"}${Math.abs(value).toFixed(digits)}`;

// The checks of an attempt with their output: the board's attempt is newer, but only the details have output.
export function checksOf(shown: Attempt | null | undefined, details: Details): any[] {
  const whole = new Map<string, any>((details.attempt?.checks ?? []).map((check) => [check.name, check]));
  return (shown?.checks ?? []).map((check) => ({ ...whole.get(check.name), ...check }));
}
