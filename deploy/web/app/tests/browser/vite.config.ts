import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  resolve: { conditions: ["thinkport-source"] },
  worker: { format: "es" },
  build: { target: "es2023", minify: false },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
