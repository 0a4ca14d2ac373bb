/**
 * Finding a thought that goes round in circles, while it is written: the last tokens are one cycle over and over, or a
 * long line comes again and again. The limits are wide: a list or a table repeats itself a little, a lost model without end.
 */

const PERIOD = 256; // longest cycle that is looked for, in tokens
const TIMES = 4; // a cycle has to come this often in a row
const SPAN = 64; // and to fill at least so many tokens
const LINE = 24; // shortest line that counts, in characters
const SAME_LINE = 6; // how often among the last lines
const LINES = 24;

/** Takes a thought's ids one by one and says when it repeats itself. Constant time a token. */
export class LoopDetector {
  private readonly past = new Int32Array(PERIOD).fill(-1); // a ring
  private readonly runs = new Int32Array(PERIOD + 1); // ids in a row that equal the one p places before
  private at = 0;
  private line = "";
  private lines: string[] = [];

  /** `textOf` gives the characters that are whole with an id. */
  constructor(private readonly textOf: (id: number) => string) {}

  /** Whether the thought repeats itself, now that this id has come. */
  feed(id: number): boolean {
    const cycles = this.cycles(id);
    return this.saysALineAgain(this.textOf(id)) || cycles;
  }

  private cycles(id: number): boolean {
    let found = false;
    for (let period = 1; period <= PERIOD; period++) {
      const before = this.past[(this.at - period + 2 * PERIOD) % PERIOD]!;
      const run = before === id ? this.runs[period]! + 1 : 0;
      this.runs[period] = run;
      found ||= run >= Math.max(period * (TIMES - 1), SPAN - period);
    }
    this.past[this.at] = id;
    this.at = (this.at + 1) % PERIOD;
    return found;
  }

  private saysALineAgain(text: string): boolean {
    const ended = (this.line + text).split("\n");
    this.line = ended.pop()!;
    const long = ended.map((line) => line.trim()).filter((line) => [...line].length >= LINE);
    this.lines = [...this.lines, ...long].slice(-LINES);
    const most = (line: string): boolean => this.lines.filter((one) => one === line).length >= SAME_LINE;
    return ended.length > 0 && this.lines.some(most);
  }
}
