// What we share with NiceGUI's script on the page. No other module touches it; the server's side is
// nicegui_parts.py.
import { createApp, h, resolveComponent, withKeys, withModifiers } from "vue";

// It finds Vue by this name. Our pages need no template compiler.
Object.assign(globalThis, { Vue: { createApp, h, resolveComponent, withKeys, withModifiers } });

// What we use of its socket.io client.
export interface Socket {
  connected: boolean;
  on(event: string, handler: (message: any) => void): void;
  off(event: string, handler: (message: any) => void): void;
  emit(event: string, message: object): void;
  timeout(milliseconds: number): { emitWithAck(event: string, message: object): Promise<any> };
}

declare global {
  interface Window {
    // The path below which the app is served, without a slash at its end; absent at the root.
    path_prefix?: string;
    // Absent until the page's outermost component is mounted, later than ours.
    socket?: Socket;
  }
}

export const pathPrefix = () => window.path_prefix ?? "";

export const openedSocket = () =>
  new Promise<Socket>((resolve) => {
    const look = () => (window.socket ? resolve(window.socket) : setTimeout(look, 5));
    look();
  });
