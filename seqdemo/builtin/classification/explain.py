"""Why a text was classified as it was: the prediction after each token, and what each token contributed.

Shape letters: ``T`` tokens, ``E`` embedding, ``C`` classes, ``N`` points of a quadrature.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqdemo.errors import DataError
from seqdemo.plugin import Tokenizer
from seqdemo.plugin import state as verbs

from .pooling import POOL, prefixes

if TYPE_CHECKING:
    from .head import ClassificationHead

__all__ = ["LONGEST_BOTH_WAYS", "LONGEST_GRADIENTS", "TOLERANCE", "integrated_gradients", "pieces", "running"]

LONGEST_GRADIENTS = 2048
"""Tokens of a text whose contributions can be computed: each pass keeps every step of the reading."""
LONGEST_BOTH_WAYS = 512
"""Tokens of a text whose every prefix is read anew, where the model reads both ways."""
TOLERANCE = 0.01
"""How far contributions and base may miss the log-odds: this, or this share of what is explained."""
_POINTS = (16, 32, 64, 128, 256)
_AT_ONCE = 2048
"""Tokens read in one pass."""
_CHUNK = 256

FloatArray = npt.NDArray[np.float64]


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token; a character that several make up is at the last of them. An unknown one is ``<unk>``."""
    decoder, unknown = tokenizer.decoder(), tokenizer.special_tokens.get("unk")
    found = ["<unk>" if token == unknown else decoder.push(token) for token in ids]
    if found:
        found[-1] += decoder.finish()
    return tuple(found)


def running(head: ClassificationHead, ids: Sequence[int]) -> Generator[None, None, Tensor]:
    """Probabilities after each token, ``(T, C)`` float64 on the CPU; gives way between pieces of work.

    A causal model reads the text once. One that reads both ways reads every prefix anew.

    Raises:
        DataError: the text is too long for reading every prefix.
    """
    found = [torch.zeros(0, len(head.labels), dtype=torch.float64)]
    if head.encoder.causal:
        device = head.output.weight.device
        state = head.initial_state(1)
        for start in range(0, len(ids), _CHUNK):
            chunk = torch.tensor([list(ids[start : start + _CHUNK])], device=device)
            y, after = head.outputs(head.vectors(chunk), state, torch.tensor([chunk.shape[1]], device=device))
            summaries = prefixes(head.pooling, y[0], verbs.unprefixed(state, POOL))
            each = verbs.prefixed(summaries, POOL)
            found.append(_probabilities(head.logits(each)))
            state = after | {name: tensor[-1:] for name, tensor in each.items()}
            yield
        return torch.cat(found)
    if len(ids) > LONGEST_BOTH_WAYS:
        raise DataError(
            f"The text is {len(ids):,} tokens. This model reads both ways, so the running prediction reads every "
            f"prefix anew: at most {LONGEST_BOTH_WAYS:,} tokens. Shorten the text, or train a causal model "
            "(bidirectional = false)."
        )
    rows = max(1, _AT_ONCE // max(len(ids), 1))
    for start in range(0, len(ids), rows):
        group = [list(ids[: end + 1]) for end in range(start, min(start + rows, len(ids)))]
        *_, state = head.reading(group)
        found.append(_probabilities(head.logits(state)))
        yield
    return torch.cat(found)


def _probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits.detach().double(), 1).cpu()


def integrated_gradients(
    head: ClassificationHead, ids: Sequence[int], label: int
) -> Generator[None, None, tuple[tuple[float, ...], float]]:
    """What each token contributed to the log-odds ``ln p / (1 - p)`` of a label (Sundararajan et al. 2017).

    Token vectors ``x`` ``(T, E)`` are faded in from zero: of the log-odds ``F``, token ``t`` contributed
    ``sum_e x_te int_0^1 dF(a x)/dx_te da``. The integral is a Gauss-Legendre sum of 16 points, and of twice as many
    until contributions and base add up to the log-odds to within 0.01, or 1 % of what is to be explained where that is
    more; 256 points are the last. Gives way between pieces of work.

    Returns:
        the contributions, and the base: the log-odds where every vector is zero.

    Raises:
        DataError: the text is too long.
    """
    if not ids:
        return (), _log_odds(head.logits(head.initial_state(1)), label).item()
    if len(ids) > LONGEST_GRADIENTS:
        raise DataError(
            f"The text is {len(ids):,} tokens. Contributions keep every step of the reading: at most "
            f"{LONGEST_GRADIENTS:,} tokens. Shorten the text, or use explain = 'running' or 'none'."
        )
    base, whole = _ends(head, ids, label)
    found = torch.zeros(len(ids))
    for points in _POINTS:
        nodes, weights = np.polynomial.legendre.leggauss(points)
        found = torch.zeros(len(ids), dtype=torch.float64)
        rows = max(1, _AT_ONCE // len(ids))
        for start in range(0, points, rows):
            some = slice(start, start + rows)
            found += _share(head, ids, (nodes[some] + 1) / 2, weights[some] / 2, label)
            yield
        if abs(base + found.sum().item() - whole) <= max(TOLERANCE, TOLERANCE * abs(whole - base)):
            break
    return tuple(found.tolist()), base


# The engine works in inference mode, whose tensors cannot be differentiated: everything here is made outside it.


def _vectors(head: ClassificationHead, ids: Sequence[int]) -> Tensor:
    """``(T, E)``."""
    return head.vectors(torch.tensor([list(ids)], device=head.output.weight.device))[0]


def _ends(head: ClassificationHead, ids: Sequence[int], label: int) -> tuple[float, float]:
    """The log-odds where every vector is zero, and those of the text."""
    with torch.inference_mode(False), torch.no_grad():
        x = _vectors(head, ids)
        base, whole = _log_odds(_logits(head, torch.stack([torch.zeros_like(x), x])), label).tolist()
    return base, whole


def _share(head: ClassificationHead, ids: Sequence[int], places: FloatArray, weights: FloatArray, label: int) -> Tensor:
    """What some points of the way add to the contributions: ``(T,)`` float64 on the CPU."""
    with torch.inference_mode(False), torch.no_grad():
        x = _vectors(head, ids)
        faded = torch.as_tensor(places, device=x.device).to(x.dtype)[:, None, None] * x  # (N, T, E)
        with torch.enable_grad():
            path = faded.requires_grad_()
            odds = _log_odds(_logits(head, path), label)
            (gradient,) = torch.autograd.grad(odds.sum(), path)
        shares = torch.as_tensor(weights, device=x.device)
        return torch.einsum("n,nte,te->t", shares, gradient.double(), x.double()).cpu()


def _logits(head: ClassificationHead, vectors: Tensor) -> Tensor:
    """``(N, T, E)`` vectors -> ``(N, C)``."""
    lengths = torch.full((len(vectors),), vectors.shape[1], dtype=torch.long, device=vectors.device)
    return head.logits(head.read(vectors, head.initial_state(len(vectors)), lengths))


def _log_odds(logits: Tensor, label: int) -> Tensor:
    """``ln p / (1 - p)`` of a label: ``(N, C)`` logits -> ``(N,)``."""
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
    return logits[:, label] - torch.logsumexp(others, 1)
