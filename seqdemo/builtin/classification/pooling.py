"""One vector for a text out of the recurrent model's outputs, taken piece by piece.

Shape letters: ``B`` batch, ``T`` time, ``O`` the model's output, ``P`` the pooled vector.

A pooling is a monoid: ``of`` makes a summary of some outputs, ``merge`` joins the summaries of two neighbouring
stretches, ``vector`` reads one off. A summary's size does not depend on how much it sums up, so a text of any length
takes the same memory; and the summaries of all prefixes come from the same two functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from seqdemo.plugin import State, sequence
from seqdemo.plugin import state as verbs

__all__ = ["POOL", "Pooling", "Several", "make_pooling", "prefixes", "wide"]

POOL = "head.pool"
"""What the entries of a summary are prefixed by in a pipeline state."""


class Pooling(nn.Module):
    """Base of them. A summary of nothing has no part in what it is merged with; its vector is zero.

    Args:
        width: ``O``.
        output_size: ``P``.
    """

    def __init__(self, width: int, output_size: int) -> None:
        super().__init__()
        self.width = width
        self.output_size = output_size

    def of(self, y: Tensor, lengths: Tensor) -> State:
        """Summary of outputs ``(B, T, O)``, of which the first ``lengths`` ``(B,)`` count: entries ``(B, ...)``."""
        raise NotImplementedError

    def merge(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> State:
        """Summary of what ``a`` sums up followed by what ``b`` does."""
        raise NotImplementedError

    def vector(self, summary: Mapping[str, Tensor]) -> Tensor:
        """``(B, P)``."""
        raise NotImplementedError


class Last(Pooling):
    """The last output; for a model that reads both ways the first too, where its other direction ends.

    Args:
        ends: 1, or 2 with the first output.
    """

    def __init__(self, width: int, ends: int) -> None:
        super().__init__(width, width * ends)
        self._both = ends == 2

    def of(self, y: Tensor, lengths: Tensor) -> State:
        at = (lengths - 1).clamp(min=0)
        summary = {"last": y[torch.arange(len(y), device=y.device), at], "read": lengths}
        return summary | {"first": y[:, 0]} if self._both else summary

    def merge(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> State:
        summary = {
            "last": torch.where((b["read"] > 0).unsqueeze(1), b["last"], a["last"]),
            "read": a["read"] + b["read"],
        }
        if self._both:
            summary["first"] = torch.where((a["read"] > 0).unsqueeze(1), a["first"], b["first"])
        return summary

    def vector(self, summary: Mapping[str, Tensor]) -> Tensor:
        ends = [summary["last"], summary["first"]] if self._both else [summary["last"]]
        return torch.cat(ends, 1) * (summary["read"] > 0).unsqueeze(1)


class Max(Pooling):
    """The largest value of each feature."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)

    def of(self, y: Tensor, lengths: Tensor) -> State:
        outside = ~sequence.valid(lengths, y.shape[1])
        return {"max": y.masked_fill(outside.unsqueeze(2), -torch.inf).amax(1)}

    def merge(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> State:
        return {"max": torch.maximum(a["max"], b["max"])}

    def vector(self, summary: Mapping[str, Tensor]) -> Tensor:
        return summary["max"].masked_fill(summary["max"] == -torch.inf, 0.0)


class Mean(Pooling):
    """The mean of each feature."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)

    def of(self, y: Tensor, lengths: Tensor) -> State:
        return {"sum": sequence.blank_padding(y, lengths).sum(1), "read": lengths}

    def merge(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> State:
        return {name: a[name] + b[name] for name in ("sum", "read")}

    def vector(self, summary: Mapping[str, Tensor]) -> Tensor:
        return summary["sum"] / summary["read"].clamp(min=1).unsqueeze(1)


class Attention(Pooling):
    """The mean weighted by ``softmax(v . tanh(W y + b))`` (Yang et al. 2016, equations 5 to 7).

    A summary keeps the largest score beside sums that are scaled by it, so that no exponential overflows (Milakov &
    Gimelshein 2018).
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width)
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def of(self, y: Tensor, lengths: Tensor) -> State:
        outside = ~sequence.valid(lengths, y.shape[1])
        scores = wide(self.score(torch.tanh(self.hidden(y)))).squeeze(2).masked_fill(outside, -torch.inf)
        peak = scores.detach().amax(1)  # it cancels out, so it needs no gradient
        weights = torch.exp(scores - _finite(peak).unsqueeze(1))
        return {"peak": peak, "weight": weights.sum(1), "sum": (weights.unsqueeze(2) * y).sum(1)}

    def merge(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> State:
        peak = torch.maximum(a["peak"], b["peak"])
        left, right = (torch.exp(one["peak"] - _finite(peak)) for one in (a, b))
        return {
            "peak": peak,
            "weight": left * a["weight"] + right * b["weight"],
            "sum": left.unsqueeze(1) * a["sum"] + right.unsqueeze(1) * b["sum"],
        }

    def vector(self, summary: Mapping[str, Tensor]) -> Tensor:
        weight = summary["weight"]
        return summary["sum"] / torch.where(weight > 0, weight, 1.0).unsqueeze(1)


class Several(Pooling):
    """Vectors of several poolings beside one another; entries are prefixed by the names.

    Args:
        parts: by name, in order.
    """

    def __init__(self, parts: Mapping[str, Pooling]) -> None:
        super().__init__(next(iter(parts.values())).width, sum(part.output_size for part in parts.values()))
        self.parts = nn.ModuleDict(parts)

    def _each(self, function: Callable[[str, Pooling], State]) -> State:
        found: State = {}
        for name, part in self.parts.items():
            assert isinstance(part, Pooling)
            found |= verbs.prefixed(function(name, part), name)
        return found

    def of(self, y: Tensor, lengths: Tensor) -> State:
        y = wide(y)
        return self._each(lambda _, part: part.of(y, lengths))

    def merge(self, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> State:
        return self._each(lambda name, part: part.merge(verbs.unprefixed(a, name), verbs.unprefixed(b, name)))

    def vector(self, summary: Mapping[str, Tensor]) -> Tensor:
        made = self._each(lambda name, part: {"vector": part.vector(verbs.unprefixed(summary, name))})
        return torch.cat(list(made.values()), 1)


def make_pooling(names: Sequence[str], width: int, causal: bool) -> Several:
    """The poolings of these names over outputs ``O = width``."""
    makers: Mapping[str, Callable[[], Pooling]] = {
        "last": lambda: Last(width, 1 if causal else 2),
        "max": lambda: Max(width),
        "mean": lambda: Mean(width),
        "attention": lambda: Attention(width),
    }
    return Several({name: makers[name]() for name in names})


def prefixes(pooling: Pooling, y: Tensor, before: Mapping[str, Tensor]) -> State:
    """Summaries of ``before`` and the first, the first two, ... of one row's outputs ``(T, O)``: entries ``(T, ...)``.

    Each round merges every summary with the one ``2^k`` places before it (Hillis & Steele 1986), so that a text of
    ``T`` tokens takes ``log2 T`` rounds and not ``T``.

    Args:
        before: summary of one row, ``(1, ...)``.
    """
    time = len(y)
    found = pooling.of(y.unsqueeze(1), torch.ones(time, dtype=torch.long, device=y.device))
    shift = 1
    while shift < time:
        joined = pooling.merge(
            {name: tensor[:-shift] for name, tensor in found.items()},
            {name: tensor[shift:] for name, tensor in found.items()},
        )
        found = {name: torch.cat([tensor[:shift], joined[name]]) for name, tensor in found.items()}
        shift *= 2
    return pooling.merge({name: tensor.expand(time, *tensor.shape[1:]) for name, tensor in before.items()}, found)


def wide(x: Tensor) -> Tensor:
    """At least float32: sums of many half-precision values are not to lose the last ones."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _finite(peak: Tensor) -> Tensor:
    """Where nothing was read the largest score is minus infinity; there any finite one will do."""
    return torch.where(peak == -torch.inf, 0.0, peak)
