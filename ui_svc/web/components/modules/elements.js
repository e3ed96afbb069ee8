// The elements of the page that match a selector, typed as what can have the focus.
/** @returns {HTMLElement[]} */
export const elements = (selector, /** @type {ParentNode} */ root = document) => [
  ...root.querySelectorAll(selector),
];
