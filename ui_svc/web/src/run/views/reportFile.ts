// A report as one self-contained file, with its pictures and styles inside.

import type { Run } from "../../model/types";

// It runs no script and loads nothing, wherever it is opened.
const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

export async function saveReport(paper: HTMLElement, run: Pick<Run, "title" | "name">): Promise<void> {
  const copy = paper.cloneNode(true) as HTMLElement;
  const shown = [...paper.querySelectorAll("img")];
  const copied = [...copy.querySelectorAll("img")];
  for (const [place, picture] of shown.entries()) {
    copied[place].removeAttribute("loading");
    copied[place].src = await inlined(picture.src);
  }
  // Relative links do not work from a file: they become absolute.
  for (const link of copy.querySelectorAll("a[href]"))
    link.setAttribute("href", new URL(link.getAttribute("href") ?? "", location.href).href);
  const page = document.implementation.createHTMLDocument(`${run.title}: run report`);
  page.documentElement.lang = "en-US";
  const add = (tag: string, attributes: Record<string, string>, text = "") => {
    const it = page.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => it.setAttribute(name, value));
    it.textContent = text;
    page.head.append(it);
  };
  add("meta", { "http-equiv": "Content-Security-Policy", content: POLICY });
  add("meta", { charset: "utf-8" });
  add("meta", { name: "viewport", content: "width=device-width" });
  add("style", {}, await looks());
  page.body.className = "heddle";
  page.body.append(page.importNode(copy, true));
  const file = new Blob([`<!doctype html>\n${page.documentElement.outerHTML}`], { type: "text/html" });
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(file),
    download: `${run.name.slice(5)}-report.html`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function inlined(url: string): Promise<string> {
  const answer = await fetch(url);
  // Of a picture whose worker is unavailable the caption remains.
  if (!answer.ok) return "data:,";
  const bytes = await answer.blob();
  return new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(bytes);
  });
}

// The style sheets of the web app.
async function looks() {
  const links = document.querySelectorAll<HTMLLinkElement>('link[rel="stylesheet"]');
  const addresses = [...links].map((link) => link.href).filter((address) => address.includes("/assets/"));
  const texts = await Promise.all(addresses.map(async (address) => (await fetch(address)).text()));
  return texts.join("\n");
}
