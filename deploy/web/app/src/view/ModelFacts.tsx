/** What runs, on what and why, and what else was considered. */

import { CopyButton } from "./CopyButton";
import { usePage } from "./context";

export function ModelFacts() {
  const { talk, host, panels } = usePage();
  const about = talk.connection.about.value;
  if (about === null) return null;
  const text = [about.reason, ...about.attempts.map((one) => `${one.graph} on ${one.place}: ${one.outcome}, ${one.reason}`)].join("\n");
  return (
    <section>
      <h3>Model</h3>
      <dl>
        <dt>Name</dt>
        <dd>{about.model}</dd>
        <dt>Runs on</dt>
        <dd>{about.runsOn || "–"}</dd>
        <dt>Context</dt>
        <dd>{about.context === null ? "–" : `${about.context.toLocaleString("en")} tokens`}</dd>
      </dl>
      <details>
        <summary>Why there</summary>
        <ul class="attempts">
          {about.attempts.map((one) => (
            <li key={`${one.graph} ${one.place}`}>
              <strong>{one.graph}</strong> on {one.place}: <em>{one.outcome}</em>. {one.reason}
            </li>
          ))}
        </ul>
        <CopyButton text={text} what="Copy the report" />
      </details>
      {host.section && <host.section />}
      {host.picks && <button type="button" class="plain" onClick={() => panels.attempt(host.open(null))}>Open another artifact…</button>}
    </section>
  );
}
