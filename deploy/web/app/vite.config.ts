import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

// Relative addresses, since a static site may lie in a folder. Nothing is inlined: the page's policy allows no data: fonts.
// Two pages: `index.html` of a server, `site.html` of a static site, which brings the engine and a service worker.
export default defineConfig({
  base: "./",
  // The engine's sources, so that its packages of tests needn't be installed to build the page.
  resolve: { alias: { "@thinkport/engine": here("../engine/src") } },
  worker: { format: "es" },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    rolldownOptions: {
      input: { index: here("index.html"), site: here("site.html"), sw: here("src/site/sw.ts") },
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
