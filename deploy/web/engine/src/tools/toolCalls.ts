/**
 * A tool call as text: read from what the model wrote, and as a chat template takes it back in the history.
 *
 * Knows the form that Qwen's templates use: a JSON object with `name` and `arguments`; and the tools of a reply by their
 * names. Must not know tags and ids.
 */

import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import { inputError, wordsOf } from "../errors.js";
import type { ToolCall } from "../events.js";
import type { MessageCall, Tool } from "../prompt/message.js";

const EXPECTED = 'expected {"name": ..., "arguments": {...}}';
const DEPTH = 64; // levels of nesting
const SHOWN = 60; // characters of a wrong value that a problem quotes
const NAME = /\{\s*"name"\s*:\s*"([^"\\\x00-\x1f]*)"/;
const LEAD = /^\s*\{\s*"name"\s*:\s*"[^"\\]*"\s*,\s*"arguments"\s*:/;

type Json = Readonly<Record<string, unknown>>;

/** The tools of a reply, checked when the box is made, and held against the calls that come. Each is `{type: "function", function: {name, description, parameters}}` or the function alone. */
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

/** The call that the model wrote between the tags, with an id of its own. What is wrong with it is its `problem`. */
export function readCall(text: string): ToolCall {
  const { value, problem } = load(text, "the call");
  if (problem) return made(text, spelledName(text), null, problem);
  if (!isObject(value)) return made(text, "", null, `the call is ${kindOf(value)}, ${EXPECTED}`);
  const { name } = value;
  const named = typeof name === "string" && name !== "";
  const found = "name" in value ? `its name is ${shown(JSON.stringify(name))}` : `its keys are ${keysOf(value)}`;
  const wrongName = named ? null : `the call names no tool (${found}), ${EXPECTED}`;
  const { args, wrong } = argumentsOf(value);
  return made(text, named ? name : "", args, wrongName ?? wrong);
}

/** The call of a reply that ended before the call did; `text` is what came of it. */
export const cutCall = (text: string): ToolCall =>
  made(text, spelledName(text), null, "the call was cut off: the reply ended before it was whole");

/** The `tool_calls` of an assistant message. A call without an object keeps what the model wrote in its place. */
export const messageCalls = (calls: readonly ToolCall[]): MessageCall[] =>
  calls.map((call) => ({
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: call.args ?? spelledArguments(call.text) },
  }));

/** A value as a problem quotes it: its start, if it is long. */
const shown = (text: string): string => (text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`);

function made(text: string, name: string, args: Json | null, problem: string | null): ToolCall {
  const id = `call_${bytesToHex(randomBytes(16))}`; // `crypto.randomUUID` needs a secure context, which a page in a home network is not
  return { type: "tool_call", id, name, args, text, problem };
}

function argumentsOf(written: Json): { args: Json | null; wrong: string | null } {
  if (!("arguments" in written)) {
    return { args: null, wrong: `the call has no arguments (its keys are ${keysOf(written)}), ${EXPECTED}` };
  }
  let value = written.arguments;
  if (typeof value === "string") {
    const inner = load(value, "the text in $.arguments");
    if (inner.problem) return { args: null, wrong: inner.problem };
    value = inner.value;
  }
  return isObject(value) ? { args: value, wrong: null } : { args: null, wrong: `$.arguments is ${kindOf(value)}, expected an object` };
}

function load(text: string, what: string): { value: unknown; problem: string | null } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { value: null, problem: `${what} is not JSON: ${wordsOf(error)}` };
  }
  return { value, problem: unsound(value, what, DEPTH) };
}

function unsound(value: unknown, what: string, levels: number): string | null {
  if (typeof value === "number" && !Number.isFinite(value)) return `${what} holds a number that can't be read: it is too large`;
  if (typeof value === "string" && !value.isWellFormed()) return `${what} holds half a surrogate pair, which is no character`;
  if (value === null || typeof value !== "object") return null;
  if (levels === 0) return `${what} is nested too deeply, expected at most ${DEPTH} levels`;
  const inside = Array.isArray(value) ? value : Object.entries(value).flat();
  return inside.map((item) => unsound(item, what, levels - 1)).find((found) => found !== null) ?? null;
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

const keysOf = (written: Json): string => shown(Object.keys(written).join(", ") || "none");

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return { string: "a text", boolean: "true or false", number: "a number" }[typeof value as string] ?? "an object";
}

const spelledName = (text: string): string => NAME.exec(text)?.[1] ?? "";

function spelledArguments(text: string): string {
  const lead = LEAD.exec(text);
  const rest = lead ? text.slice(lead[0].length).trim() : text.trim();
  return lead && rest.endsWith("}") ? rest.slice(0, -1) : rest;
}
