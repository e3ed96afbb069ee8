// Whether a key goes into a field or an editor, and so is no shortcut of the page.
export const isTyping = (event: KeyboardEvent): boolean =>
  !!(event.target as Element).closest?.("input, textarea, select, [contenteditable='true']");
