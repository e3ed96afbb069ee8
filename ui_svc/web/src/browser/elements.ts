// The elements below `root` that match, as a list.
export const elements = (selector: string, root: ParentNode = document) => [
  ...root.querySelectorAll<HTMLElement>(selector),
];
