"""Runs an artifact: text or messages in, thoughts and answers out."""

from thinkport.runtime.chat import Chat
from thinkport.runtime.engine import Engine, Finish, Origin, Token
from thinkport.runtime.errors import ArtifactError, InputError, MissingExtraError, ThinkportError
from thinkport.runtime.events import AnswerPiece, End, Event, Speed, ThoughtPiece
from thinkport.runtime.manifest import Manifest
from thinkport.runtime.model import Model
from thinkport.runtime.sampling import Sampler, SamplingSettings
from thinkport.runtime.thinking import ThinkingEnd

__all__ = [
    "AnswerPiece",
    "ArtifactError",
    "Chat",
    "End",
    "Engine",
    "Event",
    "Finish",
    "InputError",
    "Manifest",
    "MissingExtraError",
    "Model",
    "Origin",
    "Sampler",
    "SamplingSettings",
    "Speed",
    "ThinkingEnd",
    "ThinkportError",
    "ThoughtPiece",
    "Token",
]
