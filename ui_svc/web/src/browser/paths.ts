// Paths of the web app, which may be served below one.
export const href = (path: string) => `${window.path_prefix ?? ""}${path}`;
