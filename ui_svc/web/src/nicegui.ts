// What NiceGUI's script takes from Vue. It finds Vue by this name; our pages need no template compiler.
import { createApp, h, resolveComponent, withKeys, withModifiers } from "vue";

Object.assign(globalThis, { Vue: { createApp, h, resolveComponent, withKeys, withModifiers } });
