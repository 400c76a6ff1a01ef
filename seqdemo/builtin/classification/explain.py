"""Why a text was classified as it was: the prediction after each token, and what each token contributed.

Shape letters: ``T`` tokens, ``E`` embedding, ``C`` classes, ``N`` points of a quadrature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from seqdemo.errors import DataError
from seqdemo.plugin import Tokenizer
from seqdemo.plugin import state as verbs

from .pooling import prefixes

if TYPE_CHECKING:
    from .head import ClassificationHead

__all__ = ["LONGEST_BOTH_WAYS", "LONGEST_GRADIENTS", "TOLERANCE", "integrated_gradients", "pieces", "running"]

LONGEST_GRADIENTS = 2048
"""Tokens of a text whose contributions can be computed: every step of the reading is kept."""
LONGEST_BOTH_WAYS = 512
"""Tokens of a text whose every prefix is read anew, where the model reads both ways."""
TOLERANCE = 0.01
"""How far contributions and base may miss the log-odds: this, or this share of what is explained."""
_POINTS = (16, 32, 64, 128, 256)
_AT_ONCE = 8192
"""Tokens read in one pass."""
_CHUNK = 256


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token; a character that several make up is at the last of them. An unknown one is ``<unk>``."""
    decoder, unknown = tokenizer.decoder(), tokenizer.special_tokens.get("unk")
    found = ["<unk>" if token == unknown else decoder.push(token) for token in ids]
    if found:
        found[-1] += decoder.finish()
    return tuple(found)


def running(head: ClassificationHead, ids: Sequence[int]) -> Tensor:
    """Probabilities after each token, ``(T, C)`` float64 on the CPU.

    A causal model reads the text once. One that reads both ways reads every prefix anew.

    Raises:
        DataError: the text is too long for reading every prefix.
    """
    found = [torch.zeros(0, len(head.labels), dtype=torch.float64)]
    if not head.encoder.causal:
        if len(ids) > LONGEST_BOTH_WAYS:
            raise DataError(
                f"The text is {len(ids):,} tokens. This model reads both ways, so the running prediction reads every "
                f"prefix anew: at most {LONGEST_BOTH_WAYS:,} tokens. Shorten the text, or train a causal model "
                "(bidirectional = false)."
            )
        every = [list(ids[:end]) for end in range(1, len(ids) + 1)]
        rows = max(1, _AT_ONCE // max(len(ids), 1))
        groups = (every[start : start + rows] for start in range(0, len(every), rows))
        return torch.cat([*found, *(_probabilities(head.logits(head.read_ids(group))) for group in groups)])
    device = head.output.weight.device
    state = head.initial_state(1)
    for start in range(0, len(ids), _CHUNK):
        chunk = torch.tensor([list(ids[start : start + _CHUNK])], device=device)
        y, after = head.outputs(head.vectors(chunk), state, torch.tensor([chunk.shape[1]], device=device))
        summaries = verbs.prefixed(prefixes(head.pooling, y[0], verbs.unprefixed(state, "head.pool")), "head.pool")
        found.append(_probabilities(head.logits(summaries)))
        state = after | {name: tensor[-1:] for name, tensor in summaries.items()}
    return torch.cat(found)


def _probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits.detach().double(), 1).cpu()


def integrated_gradients(head: ClassificationHead, ids: Sequence[int], label: int) -> tuple[tuple[float, ...], float]:
    """What each token contributed to the log-odds ``ln p / (1 - p)`` of a label (Sundararajan et al. 2017).

    Token vectors ``x`` ``(T, E)`` are faded in from zero: of the log-odds ``F``, token ``t`` contributed
    ``sum_e x_te int_0^1 dF(a x)/dx_te da``.
    The integral is a Gauss-Legendre sum of 16 points, and of twice as many until contributions and base add up to the
    log-odds to within 0.01, or 1 % of what is to be explained where that is more; 256 points are the last.

    Returns:
        the contributions, and the base: the log-odds where every vector is zero.

    Raises:
        DataError: the text is too long.
    """
    if len(ids) > LONGEST_GRADIENTS:
        raise DataError(
            f"The text is {len(ids):,} tokens. Contributions keep every step of the reading: at most "
            f"{LONGEST_GRADIENTS:,} tokens. Shorten the text, or use explain = 'running' or 'none'."
        )
    with torch.inference_mode(False), torch.no_grad():
        # Made outside inference mode, in which the engine works, so that it can be differentiated.
        tokens = torch.tensor([list(ids)], dtype=torch.long, device=head.output.weight.device)
        if not ids:
            return (), _log_odds(head.logits(head.initial_state(1)), label).item()
        x = head.vectors(tokens)[0]
        base, whole = _log_odds_at(head, x, torch.tensor([0.0, 1.0], device=x.device), label).tolist()
        found = x.new_zeros(len(ids))
        for points in _POINTS:
            found = _integral(head, x, points, label)
            if abs(base + found.sum().item() - whole) <= max(TOLERANCE, TOLERANCE * abs(whole - base)):
                break
    return tuple(found.tolist()), base


def _integral(head: ClassificationHead, x: Tensor, points: int, label: int) -> Tensor:
    """Contributions ``(T,)`` by a sum over ``points`` places on the way."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    places = torch.tensor((nodes + 1) / 2, dtype=x.dtype, device=x.device)
    shares = torch.tensor(weights / 2, dtype=x.dtype, device=x.device)
    total = x.new_zeros(len(x))
    rows = max(1, _AT_ONCE // len(x))
    for start in range(0, points, rows):
        some = slice(start, start + rows)
        with torch.enable_grad():
            path = (places[some, None, None] * x).requires_grad_()  # (N, T, E)
            odds = _log_odds(_logits(head, path), label)
            (gradient,) = torch.autograd.grad(odds.sum(), path)
        total += torch.einsum("n,nte,te->t", shares[some], gradient, x)
    return total


def _log_odds_at(head: ClassificationHead, x: Tensor, places: Tensor, label: int) -> Tensor:
    return _log_odds(_logits(head, places[:, None, None] * x), label)


def _logits(head: ClassificationHead, vectors: Tensor) -> Tensor:
    """``(N, T, E)`` vectors -> ``(N, C)``."""
    lengths = torch.full((len(vectors),), vectors.shape[1], dtype=torch.long, device=vectors.device)
    return head.logits(head.read(vectors, head.initial_state(len(vectors)), lengths))


def _log_odds(logits: Tensor, label: int) -> Tensor:
    """``ln p / (1 - p)`` of a label: ``(N, C)`` logits -> ``(N,)``."""
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
    return logits[:, label] - torch.logsumexp(others, 1)
