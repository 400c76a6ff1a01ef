"""Weights between torch's own recurrent layers and the models written from scratch.

torch keeps the matrices of all gates of a layer below one another, ``weight_ih_l0`` ``(G * H, I)``; the scratch models
keep each gate's own, ``(H, I)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from seqdemo.errors import ConfigError
from seqdemo.plugin import Bidirectional, RecurrentModel, Stack

from .scratch import ScratchCell, ScratchRNN

__all__ = ["gate_weights", "load_torch", "save_torch"]

TorchLayer = nn.RNNBase | nn.RNNCellBase


def load_torch(model: RecurrentModel, layer: TorchLayer) -> None:
    """Copy the weights of a torch layer into a scratch model, so that both compute the same.

    Args:
        model: a scratch model of any number of layers and directions, or one scratch cell.
        layer: ``nn.RNN``, ``nn.LSTM``, ``nn.GRU`` of the same shape, or ``nn.RNNCell``, ``nn.LSTMCell``,
            ``nn.GRUCell`` for one layer.

    Raises:
        ConfigError: the two differ in kind or shape.
    """
    for mine, theirs in _pairs(model, layer):
        with torch.no_grad():
            mine.copy_(theirs)


def save_torch(model: RecurrentModel, layer: TorchLayer) -> None:
    """Copy the weights of a scratch model into a torch layer: the inverse of :func:`load_torch`."""
    for mine, theirs in _pairs(model, layer):
        with torch.no_grad():
            theirs.copy_(mine)


def gate_weights(model: RecurrentModel, weights: Mapping[str, Tensor], cell: bool = False) -> dict[str, Tensor]:
    """A scratch model's parameters by name, as views into weights by torch's names.

    Args:
        cell: the weights are those of a ``…Cell``, named without a layer.

    Raises:
        ConfigError: weights that are lacking or not used.
    """
    views: dict[str, Tensor] = {}
    used: set[str] = set()
    for path, suffix, one in _cells(model):
        for name, kind, gate in _names(one):
            theirs = kind if cell else kind + suffix
            if theirs not in weights:
                raise ConfigError(f"There is no {theirs!r} in these weights: {', '.join(weights)}.")
            used.add(theirs)
            views[path + name] = weights[theirs].chunk(len(one.gates))[gate]
    if unused := [name for name in weights if name not in used]:
        raise ConfigError(f"The model has no place for these weights: {', '.join(unused)}.")
    return views


def _names(cell: ScratchCell) -> Iterator[tuple[str, str, int]]:
    """Each parameter of a cell: its name, torch's name for the matrix it is part of, and which gate's part."""
    for k, gate in enumerate(cell.gates):
        for name, _ in cast(nn.Module, getattr(cell, gate)).named_parameters():
            part, kind = name.split(".")
            yield f"{gate}.{name}", f"{kind}_{'ih' if part == 'from_input' else 'hh'}", k


def _cells(model: RecurrentModel) -> Iterator[tuple[str, str, ScratchCell]]:
    """Each cell of a scratch model: the path to it, torch's suffix for its layer and direction, the cell."""
    if isinstance(model, ScratchCell):
        yield "", "_l0", model
        return
    if not isinstance(model, Stack):
        raise ConfigError(f"Expected a scratch model, got {type(model).__name__}.")
    for k, layer in enumerate(model.layers):
        pair = isinstance(layer, Bidirectional)
        for name, suffix in (("ahead.", ""), ("back.", "_reverse")) if pair else (("", ""),):
            cell = layer.get_submodule(name.rstrip("."))
            if not isinstance(cell, ScratchCell):
                raise ConfigError(f"Layer {k} is a {type(cell).__name__}, not a scratch cell.")
            yield f"layers.{k}.{name}", f"_l{k}{suffix}", cell


def _pairs(model: RecurrentModel, layer: TorchLayer) -> Iterator[tuple[Tensor, Tensor]]:
    """Each parameter of the scratch model with its place in the torch layer, once all are known to fit."""
    _, _, cell = next(_cells(model))
    mine, theirs = _kind(cell), _torch_kind(layer)
    if mine != theirs:
        raise ConfigError(f"The weights of a {theirs} layer do not fit a {mine} model.")
    views = gate_weights(model, dict(layer.named_parameters()), isinstance(layer, nn.RNNCellBase))
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if parameter.shape != views[name].shape:
            raise ConfigError(
                f"{name!r} is {tuple(parameter.shape)}, but the torch layer has {tuple(views[name].shape)} there."
            )
    yield from ((parameters[name], views[name]) for name in parameters)


def _kind(cell: ScratchCell) -> str:
    if isinstance(cell, ScratchRNN):
        return "RNN_RELU" if cell.bound is torch.relu else "RNN_TANH"
    return type(cell).__name__.removeprefix("Scratch").upper()


def _torch_kind(layer: TorchLayer) -> str:
    if isinstance(layer, nn.RNNBase):
        return layer.mode
    if isinstance(layer, nn.RNNCell):
        return f"RNN_{layer.nonlinearity.upper()}"
    return type(layer).__name__.removesuffix("Cell").upper()
