import { afterEach, expect, it, vi } from "vitest";
import { ServerTransport } from "../src/transport/server";

const HEALTH = {
  status: "ok", model: "nano", task: "chat", can_think: true, context: 2048, key_needed: true,
  provider: { reason: "", chosen: null, attempts: [] },
};

/** A server with a key, which may change or be out of reach. */
class FakeServer {
  key = "one";
  reached = true;

  readonly fetch = async (path: string, init: RequestInit = {}): Promise<Response> => {
    if (path === "/health") return Response.json(HEALTH);
    if (!this.reached) throw new TypeError("no route");
    const given = new Headers(init.headers).get("authorization");
    return given === `Bearer ${this.key}` ? Response.json({}) : Response.json({ error: { message: "no" } }, { status: 401 });
  };
}

function begun(): { server: FakeServer; transport: ServerTransport } {
  const server = new FakeServer();
  const kept = new Map<string, string>();
  vi.stubGlobal("fetch", server.fetch);
  vi.stubGlobal("sessionStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, to: string) => kept.set(key, to) });
  return { server, transport: new ServerTransport() };
}

afterEach(() => vi.unstubAllGlobals());

it("asks for the key again once the server refuses it", async () => {
  const { server, transport } = begun();
  expect(await transport.useKey("one")).toBe(true);
  expect((await transport.about()).keyNeeded).toBe(false);
  server.key = "two";
  const reply = transport.reply({ messages: [], thinking: null, sampling: {} });
  await expect(reply.events()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ kind: "key" });
  expect((await transport.about()).keyNeeded).toBe(true);
  expect(await transport.useKey("two")).toBe(true);
});

it("tries a key again where nobody answered", async () => {
  const { server, transport } = begun();
  server.reached = false;
  await expect(transport.useKey("one")).rejects.toMatchObject({ kind: "connection" });
  server.reached = true;
  expect((await transport.about()).keyNeeded).toBe(false);
});

it("an answer that is wanted before the server names the reply is wanted once it has", async () => {
  const { server, transport } = begun();
  await transport.useKey("one");
  const told: string[] = [];
  let answer: (response: Response) => void = () => undefined;
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    told.push(path);
    return path.endsWith("completions") ? new Promise<Response>((resolve) => (answer = resolve)) : server.fetch(path, init);
  });
  const reply = transport.reply({ messages: [], thinking: null, sampling: {} });
  const first = reply.events()[Symbol.asyncIterator]().next();
  await reply.answerNow();
  const frame = { choices: [{ delta: { content: "4" }, finish_reason: null }] };
  answer(new Response(`data: ${JSON.stringify(frame)}\n\n`, { headers: { "x-thinkport-reply": "r1" } }));
  expect((await first).value).toMatchObject({ kind: "answer", text: "4" });
  expect(told).toEqual(["/v1/chat/completions", "/v1/chat/completions/r1/stop_thinking"]);
});
