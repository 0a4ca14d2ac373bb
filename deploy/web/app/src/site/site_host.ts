/** A static site around the page: a browser that keeps the model. */

import { BrowserHost } from "../window/host";
import { KeptModel } from "./KeptModel";
import { News } from "./NewVersion";
import type { Site } from "./site";

export class SiteHost extends BrowserHost {
  override readonly section = () => KeptModel({ site: this.site });
  override readonly notice = () => News({ site: this.site });

  constructor(private readonly site: Site) {
    super();
  }
}
