import { defineConfig } from "vite";

// Relative addresses, since a static site may lie in a folder. Nothing is inlined: the page's policy allows no data: fonts.
export default defineConfig({
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
