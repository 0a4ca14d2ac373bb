/** The key that sends a message. */

/** Whether a key sends what is written. A touch screen's Enter begins a line: its keyboard has no Shift+Enter. */
export function sends(event: KeyboardEvent): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && !matchMedia("(pointer: coarse)").matches;
}
