/** A formula in TeX, drawn by KaTeX once that is loaded; until then, and where it is wrong, its source shows. */

import { useEffect, useRef, useState } from "preact/hooks";

export function Formula({ text, display }: { text: string; display: boolean }) {
  const place = useRef<HTMLSpanElement>(null);
  const [drawn, setDrawn] = useState(false);
  useEffect(() => {
    let wanted = true;
    import("./katex").then(
      ({ drawFormula }) => wanted && place.current && setDrawn(drawFormula(text, place.current, display)),
      () => undefined,
    );
    return () => void (wanted = false);
  }, [text, display]);
  return (
    <span class={display ? "formula display" : "formula"} dir="ltr" tabIndex={display ? 0 : undefined} role={display ? "group" : undefined} aria-label={display ? "Formula" : undefined}>
      <span ref={place} hidden={!drawn} />
      {!drawn && <code>{text}</code>}
    </span>
  );
}
