// A session's events as an operator reads them: messages, and each tool call with its
// input, output and result.
import { reactive, shallowReactive } from "vue";
import { readPlan, type Step } from "../model/edits";
import type { LogEvent } from "../model/types";

// A message, a call, or an event that is shown as it is.
export interface Block {
  type: string;
  key?: number;
  text?: string;
  // Whether no more of the text comes.
  whole?: boolean;
  parent_tool_call_id?: string;
  // Of a call that started a sub-agent: what the sub-agent said and did.
  steps?: Block[];
  [field: string]: any;
}

export interface Latest {
  // The agent's plan, and the calls that changed the file that it changed last.
  plan: Step[] | null;
  edits: LogEvent[];
}

// A tool call keeps at most this much of its output; the log has all of it.
const OUTPUT_KEPT = 128 << 10;

const EDITS_KEPT = 20;

// The same for messages and raw output.
const TEXT_KEPT = 512 << 10;

// Cuts to half, so that a text that grows line by line is not copied for each line.
const keepEnd = (text: string, most: number) => (text.length > most ? text.slice(-most / 2) : text);

export function createBlocks() {
  const blocks = reactive<Block[]>([]);
  const tools = new Map<string, Block>();
  const unanswered = new Map<string, Block>();
  const latest = shallowReactive<Latest>({ plan: null, edits: [] });

  // What a sub-agent does belongs to the call that started it, if this page has seen that call.
  function listOf(parent?: string): Block[] {
    const call = parent ? tools.get(parent) : undefined;
    if (!call) return blocks;
    call.steps ??= [];
    return call.steps;
  }
  function add(block: Block): Block {
    const list = listOf(block.parent_tool_call_id);
    list.push(block);
    return list[list.length - 1];
  }

  // `parent` is the call of the sub-agent that says it; empty for the session's own agent.
  function say(kind: string, text: string, last: boolean, parent?: string): void {
    const previous = listOf(parent).at(-1);
    const goesOn = previous?.type === kind && !previous.whole && previous.parent_tool_call_id === parent;
    const block = goesOn
      ? previous
      : text
        ? add({ type: kind, text: "", whole: false, parent_tool_call_id: parent })
        : null;
    if (!block) return;
    block.text = keepEnd((block.text ?? "") + text, TEXT_KEPT);
    block.whole = last;
  }

  function look(call: LogEvent) {
    latest.plan = (call.name === "TodoWrite" && readPlan(call.input ?? "")) || latest.plan;
    if (call.kind !== "edit" || !call.target) return;
    const sameFile = latest.edits[0]?.target === call.target;
    latest.edits = [...(sameFile ? latest.edits.slice(-EDITS_KEPT) : []), call];
  }

  function append(event: LogEvent): void {
    const key = event.sequence;
    switch (event.type) {
      case "message":
        return say(event.kind ?? "text", event.text ?? "", event.last ?? false, event.parent_tool_call_id);
      case "output": {
        const tool = tools.get(event.tool_call_id);
        if (!tool) return say(event.stream === "system" ? "system" : "output", event.text ?? "", false);
        tool.output = keepEnd(tool.output + event.text, OUTPUT_KEPT);
        return;
      }
      case "tool_started":
        look(event);
        return void tools.set(
          event.tool_call_id,
          add({
            ...event,
            type: "tool",
            key,
            kind: event.kind ?? "other",
            started: event.time,
            state: "running",
            output: "",
            result: "",
          }),
        );
      case "tool_finished": {
        const tool =
          tools.get(event.tool_call_id) ??
          add({ type: "tool", key, name: "Tool", target: "", output: "", input: "" });
        Object.assign(tool, {
          state: event.ok ? "ok" : "failed",
          seconds: event.duration ?? 0,
          result: event.result ?? "",
        });
        return;
      }
      case "approval_requested":
        return void unanswered.set(event.approval_id, add({ ...event, type: "question", key, answer: null }));
      case "approval_resolved": {
        const question = unanswered.get(event.approval_id);
        if (question)
          question.answer = {
            approved: event.approved ?? false,
            message: event.message ?? "",
            rule: event.rule ?? "",
          };
        return;
      }
      case "screenshot":
      case "check_finished":
      case "session_finished":
        return void add({ ...event, key });
      default:
    }
  }

  // The call that is open now, of those that this page has seen.
  const current = () => [...tools.values()].findLast((call) => call.state === "running");

  return { blocks, latest, append, current };
}
