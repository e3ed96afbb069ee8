// The inputs of a plan with parameters, as the plan declares them. Pure.

export interface PlanInput {
  name: string;
  description: string;
  type: "string" | "number" | "boolean" | "choice";
  required: boolean;
  default: string | null;
  options: string[];
}

export interface Problem {
  line: number;
  field: string;
  message: string;
}

// The values to send: those that were given for inputs of this plan. An empty field leaves the default.
export const given = (inputs: PlanInput[], values: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    inputs.filter((each) => values[each.name]).map((each) => [each.name, values[each.name]]),
  );

// The error of each input's value, by name.
export function valueProblems(inputs: PlanInput[], problems: Problem[]): Record<string, string> {
  const names = new Set(inputs.map((each) => `inputs.${each.name}`));
  return Object.fromEntries(
    problems
      .filter((each) => names.has(each.field))
      .map((each) => [each.field.slice("inputs.".length), each.message]),
  );
}

// The errors of the plan's text.
export const textProblems = (inputs: PlanInput[], problems: Problem[]): Problem[] => {
  const names = new Set(inputs.map((each) => `inputs.${each.name}`));
  return problems.filter((each) => !names.has(each.field));
};
