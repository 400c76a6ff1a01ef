"""A session as one safetensors file: the tree as JSON, and every snapshot as a row of one batched state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seqdemo.errors import SeqdemoError, SessionError, StateError
from seqdemo.files import write_atomic
from seqdemo.plugin import Alternative, Done, SamplingOptions, State, Token, TokenHead
from seqdemo.plugin import state as verbs
from seqdemo.plugin.config import build

from .snapshot import Snapshot
from .tree import ROOT, Node, Point, Tree

__all__ = ["Contents", "made_with", "read", "write"]

_KIND, _FORMAT = "seqdemo session", 1
_TREE = "session.json"

Count = Annotated[int, Field(ge=0, strict=True)]


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Node(_Saved):
    id: Annotated[int, Field(ge=1, strict=True)]
    parent: tuple[Count, Count]
    start: Count
    role: Literal["user", "reply"]
    text: str
    ids: tuple[Count, ...]
    tokens: tuple[tuple[Count, str, float, float, tuple[tuple[Count, str, float, float], ...], Count], ...]
    options: dict[str, Any] | None
    done: Done | None
    closed: bool


class _Session(_Saved):
    fingerprint: str
    defaults: dict[str, Any]
    here: tuple[Count, Count]
    nodes: list[_Node]
    snapshots: list[tuple[Count, Count, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a session's file.

    Attributes:
        fingerprint: of the weights it was made with.
        defaults: options of its replies.
        here: where it stands.
        tree: its nodes.
        snapshots: places with their snapshots, least recently used first.
    """

    fingerprint: str
    defaults: SamplingOptions
    here: Point
    tree: Tree
    snapshots: Sequence[tuple[Point, Snapshot]]


def write(path: Path, contents: Contents) -> None:
    """Write a session, all or nothing.

    Raises:
        SeqdemoError: the place cannot be written.
    """
    saved = {
        "fingerprint": contents.fingerprint,
        "defaults": contents.defaults.model_dump(mode="json"),
        "here": contents.here,
        "nodes": [_node(node) for _, node in sorted(contents.tree.nodes.items())],
        "snapshots": [(*point, snapshot.fields()) for point, snapshot in contents.snapshots],
    }
    entries: State = {}
    if contents.snapshots:
        entries = verbs.prefixed(verbs.concat([snapshot.state for _, snapshot in contents.snapshots]), "state")
    text = json.dumps(saved).encode()
    entries[_TREE] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    write_atomic(path, verbs.to_bytes(entries, {"kind": _KIND, "format": _FORMAT}))


def _node(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "parent": node.parent,
        "start": node.start,
        "role": node.role,
        "text": node.text,
        "ids": node.ids,
        "tokens": [astuple(token) for token in node.tokens],
        "options": node.options.model_dump(mode="json") if node.options else None,
        "done": asdict(node.done) if node.done else None,
        "closed": node.closed,
    }


def read(path: Path, head: TokenHead, fingerprint: str, layout: verbs.Layout | None) -> Contents:
    """Read what :func:`write` wrote, for a pipeline it must fit.

    Args:
        head: of the pipeline.
        fingerprint: of its weights.
        layout: of its states. None takes the token ids only, whatever weights and precision they were read with.

    Raises:
        SessionError: the file is missing, damaged, or was made with other weights or another vocabulary.
        StateError: its states have another layout.
    """
    saved, states = _parse(path)
    highest = max((token for node in saved.nodes for token in node.ids), default=0)
    if highest >= head.output_tokenizer.vocab_size:
        raise SessionError(
            f"The session {path} holds token {highest}, this pipeline knows {head.output_tokenizer.vocab_size} tokens. "
            "Load a checkpoint with the tokenizer it was made with."
        )
    if layout is not None:
        _check_fit(path, saved, states, fingerprint, layout)
    schema = head.config.options if issubclass(head.config.options, SamplingOptions) else SamplingOptions
    try:
        defaults = build(schema, saved.defaults, "the session")
        tree = _tree(saved, schema)
        here = Point(*saved.here)
        if here != ROOT and tree.point(*here) != here:
            raise ValueError("it stands at a place that is not in it")
        snapshots = _snapshots(saved, states, tree) if layout is not None else []
    except (SeqdemoError, ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    return Contents(saved.fingerprint, defaults, here, tree, snapshots)


def made_with(path: Path) -> str:
    """Fingerprint of the weights that a session's file was made with.

    Raises:
        SessionError: the file is missing or damaged.
    """
    return _parse(path)[0].fingerprint


def _check_fit(path: Path, saved: _Session, states: State, fingerprint: str, layout: verbs.Layout) -> None:
    if saved.fingerprint != fingerprint:
        count = sum(len(node.ids) for node in saved.nodes)
        raise SessionError(
            f"The session {path} was made with the weights {saved.fingerprint or 'unknown'!r}, this pipeline has "
            f"{fingerprint or 'unknown'!r}. Load the checkpoint it was made with, or pass rebuild=True to read its "
            f"{count} tokens again with these weights."
        )
    try:
        verbs.check(states, layout if states else {})
    except StateError as error:
        raise StateError(
            f"The states in {path} do not fit this pipeline, which has another size or precision. {error} "
            "Pass rebuild=True to read its tokens again."
        ) from error


def _damaged(path: Path, detail: str) -> SessionError:
    return SessionError(f"{path} is not a whole session file: {detail.rstrip('.')}. Use a copy of it.")


def _parse(path: Path) -> tuple[_Session, State]:
    try:
        entries, metadata = verbs.from_bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise SessionError(f"There is no session file {path}.") from error
    except OSError as error:
        raise SessionError(f"The session file {path} cannot be read: {error.strerror or error}.") from error
    except StateError as error:
        raise SessionError(f"{path} is not a session file, or a part of it is missing. {error}") from error
    if metadata.get("kind") != _KIND or _TREE not in entries:
        raise SessionError(f"{path} is not a session file. Sessions are written by Session.save.")
    if metadata.get("format") != _FORMAT:
        raise SessionError(
            f"The session {path} has format {metadata.get('format')}, this seqdemo reads format {_FORMAT}."
        )
    try:
        saved = _Session.model_validate_json(entries[_TREE].numpy().tobytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{where}: {first['msg']}") from error
    return saved, verbs.unprefixed(entries, "state")


def _tree(saved: _Session, schema: type[SamplingOptions]) -> Tree:
    """The nodes, each checked against those before it."""
    tree = Tree()
    for node in saved.nodes:
        parent = Point(*node.parent)
        tokens = tuple(
            Token(token, text, logprob, entropy, tuple(Alternative(*other) for other in others), position)
            for token, text, logprob, entropy, others, position in node.tokens
        )
        if node.role == "reply" and (not tokens or node.ids != tuple(token.id for token in tokens)):
            raise ValueError(f"the tokens of node {node.id} are not those that were read")
        options = None if node.options is None else build(schema, node.options, f"node {node.id}")
        tree.join(
            Node(node.id, parent, node.start, node.role, node.text, node.ids, tokens, options, node.done, node.closed)
        )
    return tree


def _snapshots(saved: _Session, states: State, tree: Tree) -> list[tuple[Point, Snapshot]]:
    if verbs.batch_size(states) != len(saved.snapshots):
        raise ValueError(f"{len(saved.snapshots)} snapshots have {verbs.batch_size(states)} states")
    kept = []
    for row, (node, tokens, fields) in enumerate(saved.snapshots):
        point, snapshot = Point(node, tokens), Snapshot.of(verbs.select(states, [row]), fields)
        if tree.point(*point) != point or tree.position(point) != snapshot.position:
            raise ValueError(f"the snapshot after {tokens} tokens of node {node} belongs elsewhere")
        kept.append((point, snapshot))
    return kept
