// The icon of a call, by the kind of its tool.
export const TOOL_ICONS: Record<string, string> = {
  read: "file",
  edit: "edit",
  command: "terminal",
  search: "search",
};
