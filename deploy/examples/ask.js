// Starts the sidecar as a child process and asks it a question: node ask.js path/to/sidecar "What is 86*57?"
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [folder, question] = process.argv.slice(2);
const program = join(folder, process.platform === "win32" ? "thinkport-sidecar.exe" : "thinkport-sidecar");
// The pipe to its stdin is the sidecar's life line: it ends when this process does.
const sidecar = spawn(program, ["serve", join(folder, "artifact"), "--sidecar"], { stdio: ["pipe", "pipe", "inherit"] });
const [line] = await createInterface({ input: sidecar.stdout })[Symbol.asyncIterator]().next().then(({ value }) => [value]);
const { url, api_key } = JSON.parse(line);

const response = await fetch(`${url}/v1/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${api_key}`, "content-type": "application/json" },
  body: JSON.stringify({
    messages: [{ role: "user", content: question }],
    stream: true,
    enable_thinking: true,
    thinking_token_budget: 512,
  }),
});
let held = "";
for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
  const frames = (held + bytes).split("\n\n");
  held = frames.pop();
  for (const frame of frames) {
    if (!frame.startsWith("data: {")) continue; // a comment, or [DONE]
    const [choice] = JSON.parse(frame.slice(6)).choices;
    if (choice?.delta.reasoning_content) process.stderr.write(choice.delta.reasoning_content); // the thought
    if (choice?.delta.content) process.stdout.write(choice.delta.content); // the answer
  }
}
process.stdout.write("\n");
sidecar.stdin.end();
