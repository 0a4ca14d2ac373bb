/**
 * A chat template as a program of `@huggingface/jinja`, changed so that strings behave as in Python, swapped letters
 * included. Four kinds of expression are rewritten after parsing:
 *
 * 1. `x.strip('\n')` and the other methods in `stringMethods.ts` call those;
 * 2. so does the filter `trim`;
 * 3. both sides of `==`, `!=`, `in` and `not in` are compared with their own letters;
 * 4. `tojson` of what is not there is an error, and not "null".
 */

import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { callMethod, METHOD_NAMES, type Unmark } from "./stringMethods.js";

const METHOD = "python_str_method";
const PLAIN = "python_str_plain";
const DEFINED = "python_defined";
const COMPARED: readonly string[] = ["==", "!=", "in", "not in"];

interface Node {
  type: string;
  [field: string]: unknown;
}

interface Value {
  readonly type: string;
  readonly value: unknown;
}

type Variables = Readonly<Record<string, unknown>>;

/** A parsed template. The constructor throws an error of the parser's for a wrong syntax. */
export class TemplateProgram {
  private readonly program: ReturnType<typeof parse>;

  constructor(source: string) {
    this.program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    rewrite(this.program as unknown as Node);
  }

  /** The text that the template makes of variables. Throws what the template raises. */
  render(variables: Variables, unmark: Unmark = (text) => text): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
    define(environment, METHOD, (args) => method(args, unmark));
    define(environment, PLAIN, ([value]) => plain(value!, unmark));
    define(environment, DEFINED, ([value]) => defined(value!));
    return String(new Interpreter(environment).run(this.program).value);
  }
}

const GLOBALS: Variables = {
  true: true, false: false, none: null, True: true, False: false, None: null,
  raise_exception: (message: unknown) => {
    throw new Error(String(message));
  },
  range: (...bounds: number[]) => {
    const [start, stop, step] = bounds.length === 1 ? [0, bounds[0]!, 1] : [bounds[0]!, bounds[1]!, bounds[2] ?? 1];
    return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, at) => start + at * step);
  },
  strftime_now: (format: unknown) => strftime(String(format), new Date()),
};

/** A date in the parts of C's strftime that templates use. */
export function strftime(format: string, date: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  const named = (options: Intl.DateTimeFormatOptions): string => new Intl.DateTimeFormat("en-US", options).format(date);
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(date.getFullYear()), m: () => two(date.getMonth() + 1), d: () => two(date.getDate()),
    H: () => two(date.getHours()), M: () => two(date.getMinutes()), S: () => two(date.getSeconds()),
    y: () => two(date.getFullYear() % 100), B: () => named({ month: "long" }), b: () => named({ month: "short" }),
    A: () => named({ weekday: "long" }), a: () => named({ weekday: "short" }), "%": () => "%",
  };
  return format.replace(/%(.)/g, (whole, letter: string) => parts[letter]?.() ?? whole);
}

function rewrite(node: unknown): void {
  if (node instanceof Map) {
    for (const [key, value] of node) [key, value].forEach(rewrite);
  } else if (Array.isArray(node)) node.forEach(rewrite);
  else if (node !== null && typeof node === "object" && "type" in node) {
    Object.values(node).forEach(rewrite);
    change(node as Node);
  }
}

function change(node: Node): void {
  const callee = node.callee as Node | undefined;
  const property = callee?.property as Node | undefined;
  const filter = node.filter as Node | undefined;
  if (node.type === "CallExpression" && callee?.type === "MemberExpression" && !callee.computed) {
    if (METHOD_NAMES.has(property!.value as string)) {
      node.args = [literal(property!.value as string), callee.object, ...(node.args as Node[])];
      node.callee = identifier(METHOD);
    }
  } else if (node.type === "FilterExpression" && filter?.type === "Identifier" && filter.value === "trim") {
    become(node, call(METHOD, [literal("strip"), node.operand as Node]));
  } else if (node.type === "FilterExpression" && nameOf(filter!) === "tojson") {
    node.operand = call(DEFINED, [node.operand as Node]);
  } else if (node.type === "BinaryExpression" && COMPARED.includes((node.operator as Value).value as string)) {
    node.left = call(PLAIN, [node.left as Node]);
    node.right = call(PLAIN, [node.right as Node]);
  }
}

/** A filter's name, with arguments or without. */
const nameOf = (filter: Node): unknown => (filter.type === "CallExpression" ? (filter.callee as Node).value : filter.value);

/** A node of the parser's own class, so that the interpreter finds what is inside. */
function parsed(source: string): Node {
  return (parse(tokenize(`{{ ${source} }}`)) as unknown as { body: Node[] }).body[0]!;
}

const identifier = (name: string): Node => parsed(name);
const literal = (text: string): Node => parsed(JSON.stringify(text));
const call = (name: string, args: Node[]): Node => Object.assign(parsed(`${name}()`), { args });

function become(node: Node, other: Node): void {
  for (const field of Object.keys(node)) delete node[field];
  Object.setPrototypeOf(node, Object.getPrototypeOf(other) as object);
  Object.assign(node, other);
}

const runtimeValue = (value: unknown): Value => new Environment().set("value", value);

/** Give an environment a function of the interpreter's values, where `set` would take them apart. */
function define(environment: Environment, name: string, run: (args: Value[]) => Value): void {
  const made = environment.set(name, () => null) as unknown as { value: unknown };
  made.value = run;
}

function method(args: readonly Value[], unmark: Unmark): Value {
  const [name, text, ...others] = args;
  if (text!.type !== "StringValue") throw new Error(`${text!.type} has no method ${String(name!.value)}`);
  const given = others.flatMap((one) => (one.value instanceof Map ? [...one.value.values()] : [one])) as Value[];
  const called = String(name!.value);
  const values = given.map((one) => one.value as string | number | null);
  const options = called === "split" && others[0]?.value instanceof Map ? [null, ...values] : values;
  const first = given[0];
  if ((called === "startswith" || called === "endswith") && Array.isArray(first?.value)) {
    return runtimeValue((first.value as Value[]).some((one) => callMethod(called, text!.value as string, unmark, [one.value as string])));
  }
  return runtimeValue(callMethod(called, text!.value as string, unmark, options));
}

function defined(value: Value): Value {
  if (value.type === "UndefinedValue") throw new Error("a value that is not there can't be written as JSON");
  return value;
}

function plain(value: Value, unmark: Unmark): Value {
  if (value.type === "StringValue") return runtimeValue(unmark(value.value as string));
  if (!Array.isArray(value.value)) return value;
  const list = runtimeValue([]) as { type: string; value: unknown };
  list.value = (value.value as Value[]).map((item) => plain(item, unmark));
  return list;
}
