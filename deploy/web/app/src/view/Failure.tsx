/** What went wrong, above the message box where it can't be scrolled away, with what to do. */

import { Icon } from "./Icon";
import { usePage } from "./context";

export function Failure() {
  const { talk, panels, host } = usePage();
  const failed = talk.failure.value;
  const notice = panels.notice.value;
  return (
    <>
      {host.notice && <host.notice />}
      {failed && (
        <div class="failure" role="alert">
          <Icon name="warning" />
          <p>{failed.problem}</p>
          <button type="button" class="plain" onClick={() => talk.again(failed)}>Try again</button>
        </div>
      )}
      {notice !== null && (
        <div class="failure" role="alert">
          <Icon name="warning" />
          <p>{notice}</p>
          <button type="button" class="quiet" aria-label="Close the notice" onClick={() => (panels.notice.value = null)}><Icon name="close" /></button>
        </div>
      )}
    </>
  );
}
