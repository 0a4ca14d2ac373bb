import { defineConfig } from "vite";

export default defineConfig({ base: "./", worker: { format: "es" }, build: { target: "es2023", minify: false } });
