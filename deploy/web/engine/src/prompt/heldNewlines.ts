/** A text as it comes, without newlines at its start: later ones are held until more text follows. */
export class HeldNewlines {
  held = "";
  private bare = true; // nothing was shown yet

  /** The piece of the text that is certain now, none or one; unless it `holds`, newlines at its end are. */
  show(text: string, holds = true): string[] {
    const joined = this.held + text;
    const whole = this.bare ? joined.replace(/^\n+/, "") : joined;
    const shown = holds ? whole.replace(/\n+$/, "") : whole;
    this.held = whole.slice(shown.length);
    this.bare &&= !shown;
    return shown ? [shown] : [];
  }
}
