/** In the settings: what the model takes of this device, and its deletion. */

import { usePage } from "../view/context";
import { megabytes } from "./choice";
import type { Site } from "./site";

export function KeptModel({ site }: { site: Site }) {
  const { panels } = usePage();
  const kept = site.kept.value;
  if (kept === null) return null;
  const remove = () => {
    if (confirm("Delete the model from this device? Conversations stay. It is downloaded again when it is needed.")) panels.attempt(site.remove());
  };
  return (
    <>
      <p class="note">
        The model takes {megabytes(kept.bytes)} of this device and works without a network.
        {kept.lasting ? " The browser keeps it until you delete it." : " The browser may delete it when the device has little space left."}
      </p>
      <p class="note">Tried in Chromium and Firefox on Linux. No phone was tried.</p>
      <button type="button" class="plain danger" onClick={remove}>Delete the model</button>
    </>
  );
}
