// The frame of every page: the logo, the theme switch, and whether the page is live.
import { computed, ref } from "vue";
import { Attention } from "./attention_panel.js";
import { offer } from "./commands.js";
import { Icon } from "./icons.js";
import { Keys } from "./keys.js";
import { Palette } from "./palette.js";
import { href } from "./paths.js";
import { signedOut } from "./sign_in.js";
import { online } from "./socket.js";
import { Toasts } from "./toasts.js";

const ThemeSwitch = {
  components: { Icon },
  template: /* HTML */ `<button
    type="button"
    class="icon-button"
    :aria-label="label"
    :title="label"
    @click="toggle"
  >
    <Icon :name="dark ? 'sun' : 'moon'" />
  </button>`,
  setup() {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = ref((root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark");
    const label = computed(() => (dark.value ? "Switch to light" : "Switch to dark"));
    function toggle() {
      dark.value = !dark.value;
      root.dataset.theme = dark.value ? "dark" : "light";
      localStorage.setItem("heddle-theme", root.dataset.theme);
    }
    offer(() => [{ word: label.value, hint: "Theme", icon: dark.value ? "sun" : "moon", run: toggle }]);
    return { dark, label, toggle };
  },
};

// Says why the page may be out of date. It exists before it has text, so that
// screen readers announce it.
const Banner = {
  props: ["status"],
  components: { Icon },
  template: /* HTML */ ` <div role="status" class="banner-place">
    <div v-if="text" class="banner" :class="{ 'is-bad': !online }">
      <Icon name="broken" /><span>{{ text }}</span
      ><button v-if="signedOut" type="button" class="button small" @click="signIn">Sign in again</button>
    </div>
  </div>`,
  setup(props) {
    const text = computed(() => {
      if (signedOut.value)
        return "Your sign-in has expired. This page may be out of date. Agents keep working.";
      if (!online.value)
        return "Reconnecting to the web app… This page may be out of date. Agents keep working.";
      if (props.status.stale)
        return "The scheduler does not answer. This page may be out of date until it does.";
      return "";
    });
    // Loading the page's own address leads to the sign-in, and from there back to it.
    return { online, signedOut, signIn: () => location.reload(), text };
  },
};

const Live = {
  props: ["status"],
  template: /* HTML */ `<span class="live" :class="state" :title="title"
    ><i></i><span>{{ word }}</span></span
  >`,
  setup(props) {
    const state = computed(() => {
      if (!online.value) return "is-off";
      if (props.status.stale) return "is-stale";
      return props.status.ready ? "is-live" : "is-stale";
    });
    const words = { "is-off": "Offline", "is-stale": "Waiting", "is-live": "Live" };
    const titles = {
      "is-off": "The web app cannot be reached",
      "is-stale": "No updates from the scheduler",
      "is-live": "Everything here is up to date",
    };
    return { state, word: computed(() => words[state.value]), title: computed(() => titles[state.value]) };
  },
};

export const PageFrame = {
  props: ["status"],
  components: { Attention, Banner, Keys, Live, Palette, ThemeSwitch, Toasts },
  template: /* HTML */ ` <div class="heddle">
    <header class="topbar">
      <a class="mark" :href="home" aria-label="Heddle: all runs">
        <svg viewBox="0 0 20 20" aria-hidden="true">
          <path d="M4 2v16M10 2v16M16 2v16" />
          <path class="weft" d="M2 6.5h5M13 6.5h5M7 13.5h6" />
        </svg>
        <span>Heddle</span>
      </a>
      <slot name="crumbs" />
      <span class="grow"></span>
      <nav class="places" aria-label="Pages">
        <a
          v-for="each in places"
          :key="each.word"
          :href="each.href"
          :aria-current="each.here ? 'page' : undefined"
          >{{ each.word }}</a
        >
      </nav>
      <slot name="tools" />
      <Attention />
      <Live :status="status" />
      <Palette />
      <Keys />
      <ThemeSwitch />
    </header>
    <Banner :status="status" />
    <main><slot /></main>
    <Toasts />
  </div>`,
  setup: () => ({
    home: href("/"),
    places: [
      ["Runs", "/"],
      ["Costs", "/costs"],
    ].map(([word, path]) => ({ word, href: href(path), here: location.pathname === href(path) })),
  }),
};
