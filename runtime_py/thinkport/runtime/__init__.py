"""Runs an artifact: text or messages in, thoughts and answers out."""

import thinkport.runtime.uncollected_imports  # noqa: F401
from thinkport.runtime.artifact.manifest import Manifest
from thinkport.runtime.artifact_loading import LoadProgress, LoadStage
from thinkport.runtime.chat.chat import Chat
from thinkport.runtime.chat.turn import Turn
from thinkport.runtime.engine.engine import Engine
from thinkport.runtime.engine.generation import Finish, Generation, Origin, Token
from thinkport.runtime.engine.row_settings import RowSettings
from thinkport.runtime.engine.sampling import Sampler, SamplingSettings
from thinkport.runtime.engine.stop import Stop
from thinkport.runtime.errors import (
    ArtifactError,
    CacheLostError,
    CallbackError,
    GreedyThinkingWarning,
    InputError,
    MissingExtraError,
    ProviderWarning,
    ThinkportError,
    ThinkportWarning,
)
from thinkport.runtime.events import (
    AnswerPiece,
    End,
    Event,
    OtherThought,
    ParallelThoughts,
    Speed,
    ThoughtEnd,
    ThoughtPiece,
    ThoughtsProgress,
    ToolCall,
)
from thinkport.runtime.model import Model
from thinkport.runtime.providers.provider_report import Attempt, Outcome, ProviderReport
from thinkport.runtime.reply.reply import Reply
from thinkport.runtime.text_score import ScoredToken, TextScore
from thinkport.runtime.thinking.thinking import Choose, DecidedBy, Switch, Thinking, ThinkingEnd
from thinkport.runtime.tools.function_tool import tool_of
from thinkport.runtime.tools.response_format import Choice, JsonSchema, Regex, ResponseFormat

__all__ = [
    "AnswerPiece",
    "ArtifactError",
    "Attempt",
    "CacheLostError",
    "CallbackError",
    "Chat",
    "Choice",
    "Choose",
    "DecidedBy",
    "End",
    "Engine",
    "Event",
    "Finish",
    "Generation",
    "GreedyThinkingWarning",
    "InputError",
    "JsonSchema",
    "LoadProgress",
    "LoadStage",
    "Manifest",
    "MissingExtraError",
    "Model",
    "Origin",
    "OtherThought",
    "Outcome",
    "ParallelThoughts",
    "ProviderReport",
    "ProviderWarning",
    "Regex",
    "Reply",
    "ResponseFormat",
    "RowSettings",
    "Sampler",
    "SamplingSettings",
    "ScoredToken",
    "Speed",
    "Stop",
    "Switch",
    "TextScore",
    "Thinking",
    "ThinkingEnd",
    "ThinkportError",
    "ThinkportWarning",
    "ThoughtEnd",
    "ThoughtPiece",
    "ThoughtsProgress",
    "Token",
    "ToolCall",
    "Turn",
    "tool_of",
]
