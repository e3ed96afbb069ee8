// The theme of the other pages: the choice that this browser stores, or else the system's.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => localStorage.getItem("heddle-theme");
  const isDark = () => (kept() ? kept() === "dark" : system.matches);
  const apply = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    globalThis.Quasar?.Dark.set(isDark());
  };
  globalThis.heddleSetTheme = (theme) => {
    if (theme) localStorage.setItem("heddle-theme", theme);
    else localStorage.removeItem("heddle-theme");
    apply();
  };
  globalThis.heddleSwitchTheme = () => globalThis.heddleSetTheme(isDark() ? "light" : "dark");
  system.addEventListener("change", apply);
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    // On a phone, the navigation is one row that scrolls.
    const here = document.querySelector(".m-item[aria-current]");
    here?.parentElement.scrollTo({ left: here.offsetLeft - 24 });
  });
})();
