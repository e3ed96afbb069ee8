// The socket that NiceGUI keeps open to the web app; it reconnects by itself.
import { ref } from "vue";
import { get } from "./api";
import { openedSocket, type Socket } from "./nicegui";

// Whether the web app can be reached now.
export const online = ref(true);

let opened: Promise<Socket> | undefined;

export function socket(): Promise<Socket> {
  opened ??= openedSocket().then((it) => {
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
