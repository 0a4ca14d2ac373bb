/** A page that holds the engine against what Python gives: the tests of `vectors.test.ts`. */

import { runTests } from "./shim.js";
import "../vectors.test.js";

Object.assign(globalThis, { runTests, ready: true });
