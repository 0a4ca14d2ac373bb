import { defineConfig } from "vitest/config";

// A library: what it depends on stays an import of whoever uses it.
export default defineConfig({
  build: {
    target: "es2023",
    minify: false,
    lib: {
      entry: {
        index: "src/index.ts",
        node: "src/node/index.ts",
        web: "src/web/index.ts",
        worker: "src/worker/worker.ts",
      },
      formats: ["es"],
    },
    rolldownOptions: { external: [/^node:/, /^onnxruntime-/, /^@huggingface\//, /^@noble\//, "idb"] },
  },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 120_000 },
});
