import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  base: "./",
  resolve: { alias: { vitest: here("shim.ts") } },
  worker: { format: "es" },
  build: { target: "es2023", minify: false, rolldownOptions: { input: ["index.html", "vectors.html", "measure.html"].map(here) } },
});
