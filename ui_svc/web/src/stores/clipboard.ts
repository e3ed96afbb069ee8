// Copies a text, and says so. A browser that does not allow it shows `otherwise`.
import { toast } from "./toasts";

export async function copyText(text: string, done: string, otherwise: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    toast(otherwise, "bad");
  }
}
