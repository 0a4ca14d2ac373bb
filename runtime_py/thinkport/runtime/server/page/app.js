"use strict";
// The chat page. Everything stays in this tab: the conversation in its session storage, the key in its memory.

const $ = (id) => document.getElementById(id);
const KEEP = "thinkport.conversation";
const UNLIMITED = 13; // the slider's last step; the others are 0 and powers of two
let key = "";
let messages = JSON.parse(sessionStorage.getItem(KEEP) || "[]");
let running = null; // the turn that is being streamed

const budgetOf = (step) => (step >= UNLIMITED ? null : step === 0 ? 0 : 2 ** (step + 2));
const headers = () => ({ "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) });
const one = (value) => (value === null || value === undefined ? "–" : value.toFixed(1));

function element(name, classes, text = "") {
  const made = document.createElement(name);
  made.className = classes;
  made.textContent = text;
  return made;
}

function showState(text, bad = false) {
  $("state").textContent = text;
  $("state").title = text;
  $("state").classList.toggle("bad", bad);
}

async function connect() {
  try {
    const response = await fetch("/health");
    const health = await response.json();
    const runs = health.provider.chosen;
    $("model").textContent = health.model;
    document.title = `${health.model} · thinkport`;
    $("think").disabled = !health.can_think;
    if (!running) {
      const where = runs ? `${runs.provider.replace("ExecutionProvider", "")} · ${runs.graph}` : "ready";
      showState(response.ok ? where : "the server is ending", !response.ok);
      $("state").title = health.provider.reason;
    }
    $("send").disabled = false;
  } catch {
    if (!running) showState("no connection; trying again…", true);
    $("send").disabled = true;
  }
}

function addUser(text) {
  const turn = element("article", "turn user");
  turn.setAttribute("aria-label", "You");
  turn.append(element("div", "said", text));
  $("log").append(turn);
}

function addReply() {
  const turn = element("article", "turn model");
  turn.setAttribute("aria-label", "Model");
  const thought = element("details", "thought");
  const summary = element("summary", "", "Thinking");
  const thoughtText = element("div", "said");
  const answer = element("div", "said answer");
  const figures = element("p", "figures");
  thought.append(summary, thoughtText);
  thought.hidden = true;
  turn.append(thought, answer, figures);
  $("log").append(turn);
  return { turn, thought, summary, thoughtText, answer, figures };
}

function fold(view, tokens, why) {
  view.thought.open = false;
  delete view.thought.dataset.open;
  view.summary.textContent = `Thought${tokens ? ` · ${tokens} tokens` : ""}${why ? ` · ${why}` : ""}`;
}

function showOld() {
  for (const message of messages) {
    if (message.role === "user") {
      addUser(message.content);
      continue;
    }
    const view = addReply();
    view.answer.textContent = message.content;
    view.thoughtText.textContent = message.reasoning_content || "";
    view.thought.hidden = !message.reasoning_content;
    fold(view, 0, "");
  }
}

function keep() {
  try {
    sessionStorage.setItem(KEEP, JSON.stringify(messages));
  } catch {
    // a full storage loses nothing but the way back after a reload
  }
}

async function* chunksOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const frames = held.split("\n\n");
    held = frames.pop();
    for (const frame of frames) {
      if (frame.startsWith("data: ") && frame !== "data: [DONE]") yield JSON.parse(frame.slice(6));
    }
  }
}

class Turn {
  constructor(view) {
    this.view = view;
    this.abort = new AbortController();
    this.thought = this.answer = "";
    this.last = null;
  }

  async run() {
    const budget = budgetOf(Number($("budget").value));
    const think = $("think").checked;
    const body = { messages, stream: true, stream_options: { include_usage: true }, timings_per_token: true };
    if (!$("think").disabled) body.enable_thinking = think;
    if (think && budget !== null && !$("think").disabled) body.thinking_token_budget = budget;
    const response = await fetch("/v1/chat/completions", {
      method: "POST", headers: headers(), body: JSON.stringify(body), signal: this.abort.signal,
    });
    if (!response.ok) throw await problemOf(response);
    this.name = response.headers.get("x-thinkport-reply");
    for await (const chunk of chunksOf(response)) this.take(chunk);
    if (!this.last) throw new Error("the connection ended before the reply did");
  }

  take(chunk) {
    if (chunk.error) throw new Error(chunk.error.message);
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) return;
    const stuck = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 60;
    const { reasoning_content: thought, content } = choice.delta;
    if (thought) this.addThought(thought);
    if (content) this.addAnswer(content);
    if (thought || content) this.showSpeed(chunk.timings);
    if (choice.finish_reason) this.finish(choice, chunk.timings);
    if (stuck) $("log").scrollTop = $("log").scrollHeight;
  }

  addThought(text) {
    if (!this.thought) {
      this.view.thought.hidden = false;
      this.view.thought.open = true;
      this.view.thought.dataset.open = "";
      $("answer").hidden = false;
      $("spoken").textContent = "The model is thinking.";
    }
    this.thought += text;
    this.view.thoughtText.append(text);
    this.view.thoughtText.scrollTop = this.view.thoughtText.scrollHeight;
  }

  addAnswer(text) {
    if (!this.answer) {
      $("answer").hidden = true;
      if (this.thought) fold(this.view, 0, "");
    }
    this.answer += text;
    this.view.answer.append(text);
  }

  showSpeed(timings) {
    const [word, speed, tokens] = this.answer
      ? ["answering", timings.predicted_per_second, timings.predicted_n]
      : ["thinking", timings.thinking_per_second, timings.thinking_n];
    this.view.figures.textContent = `${word} · ${tokens} tokens · ${one(speed)} tokens/s`;
  }

  finish(choice, timings) {
    this.last = choice;
    const { thinking } = choice;
    if (this.thought) fold(this.view, thinking.tokens, thinking.end);
    const thought = timings.thinking_n ? `thought ${timings.thinking_n} tokens at ${one(timings.thinking_per_second)}/s, ${thinking.end} · ` : "";
    this.view.figures.textContent =
      `prompt ${timings.prompt_n + timings.cache_n} (${timings.cache_n} cached) · ${thought}` +
      `answer ${timings.predicted_n} tokens at ${one(timings.predicted_per_second)}/s, ${thinking.answer_end}`;
    $("spoken").textContent = `Answer: ${this.answer}`;
  }
}

async function problemOf(response) {
  let text = `the server said ${response.status}`;
  try {
    text = (await response.json()).error.message;
  } catch {
    // no JSON: the status says it
  }
  const wait = response.headers.get("retry-after");
  const error = new Error(wait ? `${text} (in ${wait} s)` : text);
  error.status = response.status;
  return error;
}

function busy(on) {
  $("send").hidden = on;
  $("stop").hidden = !on;
  if (!on) $("answer").hidden = true;
}

async function send(text) {
  addUser(text);
  messages.push({ role: "user", content: text });
  $("text").value = "";
  const turn = (running = new Turn(addReply()));
  $("log").scrollTop = $("log").scrollHeight;
  busy(true);
  showState("writing…");
  try {
    await turn.run();
  } catch (error) {
    explain(turn, error);
  }
  running = null;
  busy(false);
  if (turn.answer || turn.last) {
    messages.push({ role: "assistant", content: turn.answer, ...(turn.thought && { reasoning_content: turn.thought }) });
  } else {
    messages.pop();
    $("text").value = $("text").value || text; // nothing is lost: send it again
  }
  keep();
  connect();
  $("text").focus();
}

function explain(turn, error) {
  if (turn.thought) fold(turn.view, 0, "");
  const stopped = error.name === "AbortError";
  const words = stopped ? "stopped" : error instanceof TypeError ? "the connection was lost; your message is back in the box" : error.message;
  turn.view.figures.textContent = words;
  turn.view.figures.classList.toggle("error", !stopped);
  $("spoken").textContent = words;
  if (error.status === 401) $("keys").showModal();
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text && !running && !$("send").disabled) send(text);
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
  if (event.key === "Escape" && running) $("stop").click();
});
$("stop").addEventListener("click", () => running?.abort.abort());
$("answer").addEventListener("click", () => {
  if (running?.name) {
    fetch(`/v1/chat/completions/${encodeURIComponent(running.name)}/stop_thinking`, { method: "POST", headers: headers() });
  }
});
$("new").addEventListener("click", () => {
  running?.abort.abort();
  messages = [];
  keep();
  $("log").replaceChildren();
  $("text").focus();
});
function showBudget() {
  const budget = budgetOf(Number($("budget").value));
  $("limit").value = budget === null ? "no limit" : `${budget.toLocaleString()} tokens`;
  $("budget").setAttribute("aria-valuetext", $("limit").value);
  $("budget").disabled = !$("think").checked;
}
$("budget").addEventListener("input", showBudget);
$("think").addEventListener("change", showBudget);
$("keyform").addEventListener("submit", () => {
  key = $("key").value;
  $("key").value = "";
});

showBudget();
showOld();
connect();
setInterval(connect, 3000);
$("text").focus();
