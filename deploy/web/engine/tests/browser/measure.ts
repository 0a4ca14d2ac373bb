/** A page that has steps timed in a worker, where models run. */

import type { Steps, StepsRequest } from "./measureWorker.js";

type Told = (found: Steps[]) => Promise<void>;

/** `told`, which the test gives, gets all rows after each turn. */
const steps = (request: StepsRequest): Promise<void> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./measureWorker.ts", import.meta.url), { type: "module" });
    let telling = Promise.resolve();
    worker.onerror = ({ message }) => reject(new Error(message || "the worker failed"));
    worker.onmessage = ({ data }: MessageEvent<Steps[] | string | null>) => {
      if (Array.isArray(data)) {
        telling = (globalThis as unknown as { told: Told }).told(data);
        return;
      }
      worker.terminate();
      void telling.then(() => (data === null ? resolve() : reject(new Error(data))));
    };
    worker.postMessage(request);
  });

Object.assign(globalThis, { steps, ready: true });
