/** A page that has steps timed in a worker, where models run. */

import type { Steps, StepsRequest } from "./measureWorker.js";

const steps = (request: StepsRequest): Promise<Steps[]> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./measureWorker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Steps[] | string>) => {
      worker.terminate();
      if (typeof data === "string") reject(new Error(data));
      else resolve(data);
    };
    worker.postMessage(request);
  });

Object.assign(globalThis, { steps, ready: true });
