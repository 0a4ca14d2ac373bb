"""Runs an artifact: text or messages in, thoughts and answers out."""

from thinkport.runtime.chat import Chat
from thinkport.runtime.engine import Engine
from thinkport.runtime.errors import (
    ArtifactError,
    CacheLostError,
    CacheWarning,
    GreedyThinkingWarning,
    InputError,
    MissingExtraError,
    ProviderWarning,
    ThinkportError,
    ThinkportWarning,
)
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtPiece, ToolCall
from thinkport.runtime.generation import Finish, Generation, Origin, Token
from thinkport.runtime.manifest import Manifest
from thinkport.runtime.model import Model
from thinkport.runtime.provider_report import Attempt, Outcome, ProviderReport
from thinkport.runtime.reply import Reply
from thinkport.runtime.response_format import Choice, JsonSchema, Regex, ResponseFormat
from thinkport.runtime.sampling import Sampler, SamplingSettings
from thinkport.runtime.stop import Stop
from thinkport.runtime.thinking import DecidedBy, Switch, Thinking, ThinkingEnd
from thinkport.runtime.turn import Turn

__all__ = [
    "AnswerPiece",
    "ArtifactError",
    "Attempt",
    "CacheLostError",
    "CacheWarning",
    "Chat",
    "Choice",
    "DecidedBy",
    "End",
    "Engine",
    "Event",
    "Finish",
    "Generation",
    "GreedyThinkingWarning",
    "InputError",
    "JsonSchema",
    "Manifest",
    "MissingExtraError",
    "Model",
    "Origin",
    "Outcome",
    "ProviderReport",
    "ProviderWarning",
    "Regex",
    "Reply",
    "ResponseFormat",
    "Sampler",
    "SamplingSettings",
    "Speed",
    "Stop",
    "Switch",
    "Thinking",
    "ThinkingEnd",
    "ThinkportError",
    "ThinkportWarning",
    "ThoughtPiece",
    "Token",
    "ToolCall",
    "Turn",
]
