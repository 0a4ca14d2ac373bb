/** The script of the worker that runs the model. */

import "@thinkport/engine/worker/worker";
