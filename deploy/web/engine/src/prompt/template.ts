/** Messages to a prompt's text, by the artifact's own chat template: that of transformers' `apply_chat_template`. */

import { artifactError, inputError, ThinkportError, wordsOf } from "../errors.js";
import type { Message, Tool } from "./message.js";
import type { Unmark } from "./stringMethods.js";
import { TemplateProgram } from "./templateProgram.js";

const REASONING = ["reasoning_content", "thinking", "reasoning"]; // a thought's names; templates read the first

/** What a template is told beside the messages; `enableThinking` null leaves the choice to it. */
export interface TemplateOptions {
  readonly tools?: readonly Tool[] | null | undefined;
  readonly enableThinking?: boolean | null | undefined;
  readonly addGenerationPrompt?: boolean;
}

/** A compiled chat template. */
export class ChatTemplate {
  readonly hasSwitch: boolean;
  readonly knowsThoughts: boolean;
  /** What begins a reply's turn and holds no thought yet; empty if this template can't tell. */
  readonly replyHeader: string;
  private readonly program: TemplateProgram;

  /** Compile `source`. Throws an artifact error for a wrong syntax. */
  constructor(
    source: string,
    private readonly specialTokens: Readonly<Record<string, string>>,
  ) {
    this.hasSwitch = source.includes("enable_thinking");
    this.knowsThoughts = this.hasSwitch || source.includes("<think>") || source.includes("</think>");
    try {
      this.program = new TemplateProgram(source);
    } catch (error) {
      throw artifactError(`the chat template can't be compiled (${wordsOf(error)}): export the artifact again`, error);
    }
    this.replyHeader = this.headerOfReplies();
  }

  /** The prompt's text. Throws an input error where the template refuses the messages. */
  render(messages: readonly Message[], options: TemplateOptions = {}, unmark?: Unmark): string {
    const { tools, enableThinking, addGenerationPrompt = true } = options;
    const variables: Record<string, unknown> = {
      ...this.specialTokens,
      messages: normalized(messages),
      tools: tools?.length ? tools : null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    };
    if (typeof enableThinking === "boolean") variables.enable_thinking = enableThinking;
    try {
      return this.program.render(variables, unmark);
    } catch (error) {
      throw inputError(`the chat template refuses these messages: ${wordsOf(error)}`);
    }
  }

  private headerOfReplies(): string {
    const [without, whole] = [false, true].map((addGenerationPrompt) => {
      try {
        return this.render([{ role: "user", content: "a" }], { addGenerationPrompt });
      } catch (error) {
        if (error instanceof ThinkportError) return "";
        throw error;
      }
    });
    return without && whole!.startsWith(without) ? whole!.slice(without.length).split("<think>")[0]! : "";
  }
}

/** The messages as a template sees them: nothing that is null, a thought under its usual names. */
export function normalized(messages: readonly Message[]): Record<string, unknown>[] {
  return messages.map((message) => {
    const kept = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
    const name = REASONING.find((one) => one in kept);
    return name ? { thinking: kept[name], ...kept, reasoning_content: kept[name] } : kept;
  });
}
