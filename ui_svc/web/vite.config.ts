import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Chunks find each other next to themselves, whatever the path below which the app is served.
  base: "./",
  plugins: [vue()],
  build: {
    target: "es2022",
    // The page names the entry's files itself.
    rollupOptions: {
      input: { heddle: "src/main.ts" },
      // What a chunk shares with the entry stays in it: a page needs no other script for its first paint.
      preserveEntrySignatures: "allow-extension",
      // NiceGUI's own script, by its name in the import map.
      external: ["nicegui-codemirror"],
      // Names without a hash: the web app serves them below a hash of them all.
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
  test: { include: ["tests/**/*.test.ts"], setupFiles: ["tests/browser.ts"] },
});
