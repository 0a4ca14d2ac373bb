/** A server's page, or the desktop window's. */

import { render } from "preact";
import { ServerTransport } from "./transport/server";
import { inWords } from "./transport/trouble";
import { App } from "./view/App";
import { PageProvider, pageOf } from "./view/context";
import { hostOfPage } from "./window/host";

const root = document.getElementById("app")!;
pageOf(new ServerTransport(), hostOfPage()).then(
  (page) => render(<PageProvider value={page}><App /></PageProvider>, root),
  (error: unknown) => render(<main class="start"><p class="problem" role="alert">The page can't begin: {inWords(error)}. Load it again.</p></main>, root),
);
