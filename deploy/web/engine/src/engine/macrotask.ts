/** Waiting for a turn of the event loop, so that messages such as a stop are heard between steps that never wait. */

const channel = typeof setImmediate === "function" ? null : new MessageChannel();
const waiting: (() => void)[] = [];
if (channel) channel.port1.onmessage = () => waiting.shift()?.();

/** Settles in a later task; a timer would wait 4 ms. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    if (!channel) setImmediate(resolve);
    else {
      waiting.push(resolve);
      channel.port2.postMessage(null);
    }
  });
}
