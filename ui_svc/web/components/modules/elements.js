// The elements that match a selector, with a type that can have the focus.
/** @returns {HTMLElement[]} */
export const elements = (selector, /** @type {ParentNode} */ root = document) => [
  ...root.querySelectorAll(selector),
];
