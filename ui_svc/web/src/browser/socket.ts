// The socket that NiceGUI keeps open to the web app; it reconnects by itself.
import { ref } from "vue";
import { get } from "./api";

// Whether the web app can be reached now.
export const online = ref(true);

// What we use of socket.io's client.
export interface Socket {
  connected: boolean;
  on(event: string, handler: (message: any) => void): void;
  off(event: string, handler: (message: any) => void): void;
  emit(event: string, message: object): void;
  timeout(milliseconds: number): { emitWithAck(event: string, message: object): Promise<any> };
}

let opened: Promise<Socket> | undefined;

export function socket(): Promise<Socket> {
  opened ??= new Promise<Socket>((resolve) => {
    // It is created once the page's outermost component is mounted: later than ours.
    const look = () => (window.socket ? resolve(window.socket) : setTimeout(look, 5));
    look();
  }).then((it) => {
    const tellHidden = () => it.emit("heddle_hidden", { hidden: document.hidden });
    it.on("connect", () => {
      online.value = true;
      tellHidden();
    });
    it.on("disconnect", () => (online.value = false));
    // A browser does not tell scripts why a socket was refused; a call shows whether the sign-in has expired.
    it.on("connect_error", () => get("workers").catch(() => {}));
    document.addEventListener("visibilitychange", tellHidden);
    if (it.connected) tellHidden();
    return it;
  });
  return opened;
}
