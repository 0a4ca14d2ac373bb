/** A server's page, or the desktop window's. */

import { render } from "preact";
import { ServerTransport } from "./transport/server";
import { App } from "./view/App";
import { PageProvider, pageOf } from "./view/context";
import { hostOfPage } from "./window/host";

async function main(): Promise<void> {
  const page = await pageOf(new ServerTransport(), hostOfPage());
  const root = document.getElementById("app");
  if (root) render(<PageProvider value={page}><App /></PageProvider>, root);
}

void main();
