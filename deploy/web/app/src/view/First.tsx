/** The first screen: what this is, and three questions to begin with. */

import { usePage } from "./context";

const QUESTIONS = [
  { title: "Work something out", text: "A train leaves at 14:35 and arrives at 17:20. How long is the journey?" },
  { title: "Explain something", text: "Explain to a ten-year-old why the sky is blue." },
  { title: "Write some code", text: "Write a Python function that tells whether a word is a palindrome." },
];

export function First() {
  const { talk } = usePage();
  const about = talk.connection.about.value;
  const ready = talk.connection.state.value === "ready";
  if (about && !about.chats) return <NoChat model={about.model} />;
  return (
    <div class="first">
      <h2>{about?.canThink === false ? "Ask something" : "Ask, and watch it think"}</h2>
      <p>
        {about ? <strong>{about.model}</strong> : "The model"} {where(talk.connection.transport.place)}
        {about?.canThink && " It may think before it answers: you see the thought, limit it, or have the answer at once."}
      </p>
      {talk.connection.state.value === "refused" && <p role="alert">{talk.connection.problem.value}</p>}
      <ul class="questions">
        {QUESTIONS.map(({ title, text }) => (
          <li key={title}>
            <button type="button" disabled={!ready} onClick={() => talk.send(text)}>
              <strong>{title}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function where(place: "server" | "browser"): string {
  const here = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  if (place === "browser") return "runs in this browser. What you write stays on this device.";
  return here ? "runs on this computer. What you write stays on it." : `runs on ${location.hostname}. Conversations are kept on this device.`;
}

function NoChat({ model }: { model: string }) {
  return (
    <div class="first">
      <h2>{model} writes no replies</h2>
      <p>It embeds or ranks texts. Its interface is described at <a href="/openapi.json">/openapi.json</a>.</p>
    </div>
  );
}
