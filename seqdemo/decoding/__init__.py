"""Every loop over tokens: sampling, streaming, stopping, the engine that runs requests, and sessions."""

from __future__ import annotations

from .cache import SnapshotCache
from .engine import Engine, engine
from .generation import CHUNK, Request
from .random import fresh_seed, uniform
from .reply import Reply
from .sampling import Candidate, Choice, choose, rule
from .session import Session
from .snapshot import Snapshot
from .stepper import GenericStepper, Stepper
from .stream import Stream
from .text import TextStream, token_text
from .tree import ROOT, Message, Node, Point, Tree

__all__ = [
    "CHUNK",
    "ROOT",
    "Candidate",
    "Choice",
    "Engine",
    "GenericStepper",
    "Message",
    "Node",
    "Point",
    "Reply",
    "Request",
    "Session",
    "Snapshot",
    "SnapshotCache",
    "Stepper",
    "Stream",
    "TextStream",
    "Tree",
    "choose",
    "engine",
    "fresh_seed",
    "rule",
    "token_text",
    "uniform",
]
