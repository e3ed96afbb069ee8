// What the page brings that no module of ours defines.
interface Window {
  // The path below which the app is served, without a slash at its end; absent at the root.
  path_prefix?: string;
  // NiceGUI's socket.io client; absent until the page has connected.
  socket?: any;
}

declare module "nicegui-codemirror";
