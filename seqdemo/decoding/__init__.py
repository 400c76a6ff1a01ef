"""Every loop over tokens: sampling, streaming, stopping, the engine that runs requests, and sessions."""

from __future__ import annotations

from .beam import search
from .cache import SnapshotCache
from .engine import Engine, engine
from .generation import CHUNK, Request, chunk_size
from .notebook import Notebook
from .passage import Passage
from .prepare import PRECISIONS, Stepping, check_precision, open_stepper, stepping
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
    "PRECISIONS",
    "ROOT",
    "Candidate",
    "Choice",
    "Engine",
    "GenericStepper",
    "Message",
    "Node",
    "Notebook",
    "Passage",
    "Point",
    "Reply",
    "Request",
    "Session",
    "Snapshot",
    "SnapshotCache",
    "Stepper",
    "Stepping",
    "Stream",
    "TextStream",
    "Tree",
    "check_precision",
    "choose",
    "chunk_size",
    "engine",
    "fresh_seed",
    "open_stepper",
    "rule",
    "search",
    "stepping",
    "token_text",
    "uniform",
]
