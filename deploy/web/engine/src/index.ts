/** The engine's public names. It knows no runtime: `@thinkport/engine/node` and `@thinkport/engine/web` bring one. */

export type { Manifest, SamplingPreset } from "./artifact/manifest.js";
export type { ArtifactSource, ByteRange, ReadOptions } from "./artifact/source.js";
export { ThinkportError, type ErrorCode } from "./errors.js";
export type { AnswerPiece, End, Finish, ReplyEvent, Speed, ThoughtPiece, ToolCall } from "./events.js";
export type {
  Chat, ChatOptions, EncodeOptions, GraphVerdict, Model, ModelReport, OpenProgress, Reply, ReplyOptions, SamplingAsked,
} from "./model.js";
export type { Message, MessageCall, Role, Tool } from "./prompt/message.js";
export type { DecidedBy, Switch, Thinking, ThinkingAsked, ThinkingEnd } from "./thinking/thinking.js";
