"""Attention over a memory.

Shape letters: ``B`` batch, ``T`` target length, ``S`` source length, ``Q`` query, ``M`` memory, ``A`` attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqdemo.plugin import sequence

__all__ = ["Additive", "Attention", "Dot"]


class Attention(nn.Module):
    """Queries ``(B, T, Q)`` and a memory ``(B, S, M)`` -> how much of each position, and their weighted mean.

    Args:
        query_size: ``Q``.
        memory_size: ``M``.
        size: ``A``, the width in which the two are compared.
    """

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_size, size, bias=False)
        # A bias here would add the same to every score of a query.
        self.key = nn.Linear(memory_size, size, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What does not depend on a query: ``(B, S, M) -> (B, S, A)``."""
        keys: Tensor = self.key(memory)
        return keys

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """``(B, T, A)`` and ``(B, S, A)`` -> ``(B, T, S)``."""
        raise NotImplementedError

    def forward(self, queries: Tensor, memory: Tensor, keys: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            memory: zero beyond ``lengths``.
            keys: of the memory; beyond ``lengths`` anything.
            lengths: ``(B,)``, at least 1 each.

        Returns:
            the mean of the memory ``(B, T, M)``, and the weights ``(B, T, S)``, 0 beyond ``lengths``.
        """
        return self.attend(self.query(queries), memory, keys, lengths)

    def attend(self, queries: Tensor, memory: Tensor, keys: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, of queries that were projected: ``(B, T, A)``."""
        scores = self.scores(queries, keys)
        beyond = ~sequence.valid(lengths, memory.shape[1]).unsqueeze(1)
        weights = scores.masked_fill(beyond, -torch.inf).softmax(-1)
        return weights @ memory, weights


class Dot(Attention):
    """``q . k / sqrt(A)`` with ``q = W_q s`` and ``k = W_k h``: Luong et al. 2015, eq. 8 ("general"), its matrix as the
    product of two, scaled as in Vaswani et al. 2017, eq. 1."""

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        scores: Tensor = queries @ keys.transpose(1, 2) * float(keys.shape[2] ** -0.5)
        return scores


class Additive(Attention):
    """``v . tanh(W_q s + W_k h)``: Bahdanau et al. 2015, A.1.2."""

    def __init__(self, query_size: int, memory_size: int, size: int) -> None:
        super().__init__(query_size, memory_size, size)
        self.weigh = nn.Linear(size, 1, bias=False)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        scores: Tensor = self.weigh(torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1)))
        return scores.squeeze(3)
