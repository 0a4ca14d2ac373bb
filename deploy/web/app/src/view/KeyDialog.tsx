/** Asks for the server's key before anything else, and tells at once whether it is right. */

import { useEffect, useRef, useState } from "preact/hooks";
import { inWords } from "../transport/trouble";
import { usePage } from "./context";

export function KeyDialog() {
  const { talk } = usePage();
  const dialog = useRef<HTMLDialogElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  const use = async () => {
    field.current?.focus();
    try {
      if (!(await talk.connection.useKey(key.trim()))) setProblem("That is not this server's key.");
    } catch (error) {
      setProblem(inWords(error));
    }
  };
  return (
    <dialog class="key" ref={dialog} aria-labelledby="key-title" onCancel={(event) => event.preventDefault()}>
      <form onSubmit={(event) => { event.preventDefault(); void use(); }}>
        <h2 id="key-title">This server wants its key</h2>
        <p>It is what <code>thinkport serve</code> was started with as <code>--api-key</code>. It stays in this tab.</p>
        <label>
          API key
          <input type="password" ref={field} aria-invalid={problem !== ""} autocomplete="off" required value={key} onInput={(event) => setKey(event.currentTarget.value)} />
        </label>
        {problem && <p class="problem" role="alert">{problem}</p>}
        <div class="row end"><button type="submit" class="main">Continue</button></div>
      </form>
    </dialog>
  );
}
