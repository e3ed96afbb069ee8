// NiceGUI serves its editor under this name.
declare module "nicegui-codemirror";
