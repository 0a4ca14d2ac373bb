/**
 * A chat template as a program of `@huggingface/jinja`, whose interpreter is changed so that strings behave as in Python,
 * swapped letters included:
 *
 * 1. `x.strip('\n')` and the other methods in `stringMethods.ts` are those;
 * 2. so is the filter `trim`;
 * 3. both sides of `==`, `!=`, `in` and `not in` are compared with their own letters;
 * 4. `tojson` of what is not there is an error, and not "null".
 */

import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { callMethod, METHOD_NAMES, type Unmark } from "./stringMethods.js";

const VALUE = "Value"; // a node that is evaluated already
const COMPARED: readonly unknown[] = ["==", "!=", "in", "not in"];

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
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
  }

  /** The text that the template makes of variables. Throws what the template raises. */
  render(variables: Variables, unmark: Unmark = (text) => text): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
    return String(new PythonInterpreter(environment, unmark).run(this.program).value);
  }
}

class PythonInterpreter extends Interpreter {
  constructor(
    environment: Environment,
    private readonly unmark: Unmark,
  ) {
    super(environment);
  }

  override evaluate(...[statement, environment]: Parameters<Interpreter["evaluate"]>): ReturnType<Interpreter["evaluate"]> {
    const node = (statement ?? { type: "" }) as unknown as Node;
    const { filter, operator, property } = node as unknown as Readonly<Record<string, Node | undefined>>;
    const valueOf = (part: unknown): Value => this.evaluate(part as typeof statement, environment);
    const changed = (parts: object): Value => super.evaluate({ ...node, ...parts } as never, environment);
    if (node.type === VALUE) return node.value as never;
    if (node.type === "MemberExpression" && !node.computed && METHOD_NAMES.has(property!.value as string)) {
      const text = valueOf(node.object);
      if (text.type === "StringValue") return methodOf(text, property!.value as string, this.unmark) as never;
    } else if (node.type === "FilterExpression" && filter!.type === "Identifier" && filter!.value === "trim") {
      return method(valueOf(node.operand), "strip", [], this.unmark) as never;
    } else if (node.type === "FilterExpression" && nameOf(filter!) === "tojson") {
      return changed({ operand: { type: VALUE, value: defined(valueOf(node.operand)) } }) as never;
    } else if (node.type === "BinaryExpression" && COMPARED.includes(operator!.value)) {
      const [left, right] = [node.left, node.right].map((side) => ({ type: VALUE, value: plain(valueOf(side), this.unmark) }));
      return changed({ left, right }) as never;
    }
    return super.evaluate(statement, environment);
  }
}

/** A filter's name, with arguments or without. */
const nameOf = (filter: Node): unknown => (filter.type === "CallExpression" ? (filter.callee as Node).value : filter.value);

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
function strftime(format: string, date: Date): string {
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

const runtimeValue = (value: unknown): Value => new Environment().set("value", value);

/** The method of a text, as the interpreter calls functions. */
function methodOf(text: Value, name: string, unmark: Unmark): Value {
  return Object.assign(runtimeValue(() => null), { value: (args: readonly Value[]) => method(text, name, args, unmark) });
}

function method(text: Value, called: string, args: readonly Value[], unmark: Unmark): Value {
  if (text.type !== "StringValue") throw new Error(`${text.type} has no method ${called}`);
  const given = args.flatMap((one) => (one.value instanceof Map ? [...one.value.values()] : [one])) as Value[];
  const values = given.map((one) => one.value as string | number | null);
  const options = called === "split" && args[0]?.value instanceof Map ? [null, ...values] : values;
  const first = given[0];
  if ((called === "startswith" || called === "endswith") && Array.isArray(first?.value)) {
    return runtimeValue((first.value as Value[]).some((one) => callMethod(called, text.value as string, unmark, [one.value as string])));
  }
  return runtimeValue(callMethod(called, text.value as string, unmark, options));
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
