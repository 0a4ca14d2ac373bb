/** The tools of a reply by their names: checked when the box is made, and held against the calls that come. */

import { inputError } from "../errors.js";
import type { ToolCall } from "../events.js";
import type { Tool } from "../prompt/message.js";
import { readCall, shown } from "./toolCalls.js";

/** Tools, each `{type: "function", function: {name, description, parameters}}` or the function alone. */
export class ToolBox {
  readonly names: readonly string[];

  /** Throws an input error: a tool of another shape, without a name, or with a name given before. */
  constructor(tools: readonly Tool[]) {
    if (!Array.isArray(tools)) throw inputError(`the tools are ${typeof tools}, expected a list of tools`);
    this.names = tools.map(nameOf);
    const twice = this.names.find((name, at) => this.names.indexOf(name) !== at);
    if (twice !== undefined) throw inputError(`two tools are named '${twice}', expected a name for each: rename one`);
  }

  /** The call that the model wrote between the tags; arguments are not held against the tool's schema. */
  parse(text: string): ToolCall {
    const call = readCall(text);
    const unknown = call.problem === null && !this.names.includes(call.name);
    return unknown ? { ...call, problem: `there is no tool '${shown(call.name)}', expected one of: ${this.names.join(", ")}` } : call;
  }
}

function nameOf(tool: Tool, at: number): string {
  const described = (tool?.function ?? tool) as { name?: unknown } | undefined;
  const name = described?.name;
  // Templates write a name between quotes as it is, so it has to be its own JSON.
  if (typeof name !== "string" || !name || JSON.stringify(name) !== `"${name}"`) {
    throw inputError(`tool ${at} has the name ${JSON.stringify(name)}, expected a text without quotes, backslashes and line ends`);
  }
  return name;
}
