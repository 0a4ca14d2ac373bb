/** The script of a worker that runs a model: `new Worker(new URL("@thinkport/engine/worker", import.meta.url), {type: "module"})`. */

import type { Port } from "./protocol.js";
import { serve } from "./serve.js";

serve(globalThis as unknown as Port);
