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
