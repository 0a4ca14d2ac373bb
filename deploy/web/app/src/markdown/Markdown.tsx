/** Markdown as elements. Images are links, links open by a click only, and HTML is shown as the text that it is. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { CopyButton } from "../view/CopyButton";
import type { Nodes } from "./highlight";
import { decoded, directionOf, safeAddress, tokensOf, type FormulaToken, type Token, type Tokens } from "./tokens";

const COLOURED = 20_000; // characters of code

/** A text that may grow: a block that stays as it was is not drawn again. */
export function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => tokensOf(text), [text]);
  return (
    <div class="markdown">
      {blocks.map((token, at) => (
        <Block key={at} token={token} />
      ))}
    </div>
  );
}

function Block({ token }: { token: Token }) {
  return useMemo(() => <>{drawn(token)}</>, [token.raw, token.type]);
}

type Draw<T> = (token: T) => ComponentChildren;

const DRAWN: Record<string, Draw<never>> = {
  space: () => null,
  heading: heading as Draw<never>,
  paragraph: ((token: Tokens.Paragraph) => <p dir="auto">{inside(token.tokens)}</p>) as Draw<never>,
  blockquote: ((token: Tokens.Blockquote) => <blockquote dir={directionOf(token.text)}>{inside(token.tokens)}</blockquote>) as Draw<never>,
  list: list as Draw<never>,
  code: ((token: Tokens.Code) => <Code text={token.text} language={token.lang ?? ""} />) as Draw<never>,
  table: table as Draw<never>,
  hr: () => <hr />,
  text: ((token: Tokens.Text) => (token.tokens ? inside(token.tokens) : decoded(token.text))) as Draw<never>,
  escape: ((token: Tokens.Escape) => token.text) as Draw<never>,
  strong: ((token: Tokens.Strong) => <strong>{inside(token.tokens)}</strong>) as Draw<never>,
  em: ((token: Tokens.Em) => <em>{inside(token.tokens)}</em>) as Draw<never>,
  del: ((token: Tokens.Del) => <del>{inside(token.tokens)}</del>) as Draw<never>,
  codespan: ((token: Tokens.Codespan) => <code dir="ltr">{token.text}</code>) as Draw<never>,
  br: () => <br />,
  link: ((token: Tokens.Link) => <Link address={token.href}>{inside(token.tokens)}</Link>) as Draw<never>,
  image: ((token: Tokens.Image) => <Link address={token.href}>{token.text || "image"}</Link>) as Draw<never>,
  formula: ((token: FormulaToken) => <Formula text={token.text} display={token.display} />) as Draw<never>,
};

/** What no rule draws, such as HTML, is its own text. */
function drawn(token: Token): ComponentChildren {
  const draw = DRAWN[token.type] as Draw<Token> | undefined;
  return draw ? draw(token) : token.raw;
}

function inside(tokens: readonly Token[] | undefined): ComponentChildren {
  return (tokens ?? []).map(drawn);
}

/** Headings of an answer are below those of the page, whose turns are of level 2. */
function heading({ depth, tokens }: Tokens.Heading): JSX.Element {
  const Name = `h${Math.min(depth + 2, 6)}` as "h3";
  return (
    <Name class={`depth-${depth}`} dir="auto">
      {inside(tokens)}
    </Name>
  );
}

function list({ raw, ordered, start, items }: Tokens.List): JSX.Element {
  const drawnItems = items.map((item) => (
    <li class={item.task ? "task" : undefined}>
      {item.task && <input type="checkbox" checked={item.checked ?? false} disabled aria-label={item.checked ? "done" : "to do"} />}
      {inside(item.tokens.filter((token) => token.type !== "checkbox"))}
    </li>
  ));
  const dir = directionOf(raw);
  return ordered ? <ol dir={dir} start={Number(start) || 1}>{drawnItems}</ol> : <ul dir={dir}>{drawnItems}</ul>;
}

function table({ raw, header, align, rows }: Tokens.Table): JSX.Element {
  const style = (at: number) => (align[at] ? { textAlign: align[at] } : {});
  return (
    <div class="table" dir={directionOf(raw)} role="region" aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>{header.map((cell, at) => <th dir="auto" style={style(at)}>{inside(cell.tokens)}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>{row.map((cell, at) => <td dir="auto" style={style(at)}>{inside(cell.tokens)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Link({ address, children }: { address: string; children: ComponentChildren }) {
  const safe = safeAddress(address);
  if (safe === null) return <>{children}</>;
  return (
    <a href={safe} title={safe} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

/** A block of code with its language and a button that copies it; colours come once their library is there. */
function Code({ text, language }: { text: string; language: string }) {
  const name = language.trim().split(/\s+/)[0]?.toLowerCase() ?? "";
  const parts = useHighlighted(text, name);
  return (
    <figure class="code" dir="ltr">
      <figcaption>
        <span>{name || "text"}</span>
        <CopyButton text={text} what="Copy the code" />
      </figcaption>
      <pre tabIndex={0} aria-label={`Code${name ? `, ${name}` : ""}`}>
        <code>{parts ? parts.map(coloured) : text}</code>
      </pre>
    </figure>
  );
}

function useHighlighted(text: string, language: string): Nodes | null {
  const [highlight, setHighlight] = useState<((text: string, language: string) => Nodes | null) | null>(null);
  const wanted = language !== "" && text.length <= COLOURED;
  useEffect(() => {
    if (wanted) import("./highlight").then((loaded) => setHighlight(() => loaded.highlighted), () => undefined);
  }, [wanted]);
  return wanted && highlight ? highlight(text, language) : null;
}

function coloured(node: Nodes[number]): ComponentChildren {
  if (node.type === "element") return <span class={[node.properties.className].flat().join(" ")}>{node.children.map(coloured)}</span>;
  return node.type === "text" ? node.value : null;
}

/** A formula in TeX, drawn by KaTeX once that is loaded; until then, and where it is wrong, its source shows. */
function Formula({ text, display }: { text: string; display: boolean }) {
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
