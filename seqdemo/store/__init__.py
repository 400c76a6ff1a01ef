"""Conversations and notebooks on disk: text and tokens in SQLite, states as files beside it. Imports no torch.

What was said is the truth and is written as it happens; states are a cache of it, and any of them may be missing.
"""

from .conversations import Conversations, Summary
from .database import Database, opened
from .notebooks import Notebooks, Sheet
from .records import Conversation, Node, Reply
from .snapshots import Place, Snapshots, Tags

__all__ = [
    "Conversation",
    "Conversations",
    "Database",
    "Node",
    "Notebooks",
    "Place",
    "Reply",
    "Sheet",
    "Snapshots",
    "Summary",
    "Tags",
    "opened",
]
