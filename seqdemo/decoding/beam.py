"""Beam search over many inputs at once: the likeliest texts, rather than drawn ones.

``K`` hypotheses are pursued for each input. In each step the ``K`` likeliest of all continuations are kept; one that
ends is put aside and its place stays empty (Sutskever et al. 2014, 3.2), so a beam of 1 is greedy decoding. What was
put aside is ranked by Wu et al. 2016, eq. 14: ``log P / lp + cp``.

``B`` inputs, ``n`` rows (hypotheses of all inputs that go on, those of one input together, the likeliest first), ``V``
vocabulary, ``T`` tokens so far, ``S`` source length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqdemo.errors import ConfigError
from seqdemo.plugin import BeamOptions, Context, Decoded, Done, State, StepOutput, TokenHead, Usage
from seqdemo.plugin import state as verbs

from .contexts import join
from .engine import engine
from .found import Found, Input, length_penalty
from .generation import Reason
from .prepare import advancing, finding, sharing, starting
from .sampling import no_choice, not_numbers

__all__ = ["search"]

_INPUTS = 64
"""Inputs that are searched for together, at most."""

_READS = 1_200_000_000
"""Weights read in some 50 ms where many rows share each of them."""

_STARTED = 1024
"""Tokens that inputs begun in one turn may write together; how much they read goes with it."""

_BEGUN = 32
"""Inputs begun in one turn, at most."""

_UNSEEN = 1e-9
"""Attention below this counts as this much."""

Row = Mapping[str, Any]


def search(head: TokenHead, rows: Sequence[Row], options: BeamOptions, device: torch.device) -> list[Decoded]:
    """The best texts for each input, in the order of the inputs. Others may use the engine in between.

    Inputs of like length are searched for together, which changes no text but for rounding; with ``exact`` each is
    searched for alone.

    Raises:
        ConfigError: a coverage penalty, and the head attends to nothing.
        DataError, TokenizerError: an input cannot be read.
        PluginError: the head gives no probabilities.
    """
    limits = [head.max_tokens(row, options) for row in rows]
    deadline = inf if options.timeout is None else perf_counter() + options.timeout
    order = sorted((place for place in range(len(rows)) if limits[place] > 0), key=limits.__getitem__)
    together = 1 if options.exact else _together(head, options.beam_size)
    found = [_nothing(head, row) for row in rows]

    def pieces() -> Iterator[None]:
        for start in range(0, len(order), together):
            places = order[start : start + together]
            one = _Search(head, [rows[p] for p in places], [limits[p] for p in places], options, deadline)
            yield from one.turns()
            for place, decoded in zip(places, one.decoded, strict=True):
                found[place] = decoded

    engine(device).work(pieces())
    return found


def _together(head: TokenHead, beam: int) -> int:
    """Inputs of one search; it follows from the number of weights alone, so that the clock changes no text."""
    rows = _READS // max(sum(parameter.numel() for parameter in head.parameters()), 1)
    return max(min(rows // beam, _INPUTS), 1)


def _nothing(head: TokenHead, row: Row) -> Decoded:
    return Decoded(str(row[head.config.columns[0].name]), "", (), Done("length", Usage(0, 0, 0.0, 0.0, 0)))


class _Rows(NamedTuple):
    """Hypotheses that go on.

    Attributes:
        owner: ``(n,)``, the input of each, ascending.
        logprob: ``(n,)`` float64, of all its tokens.
        ids: ``(n, T)``.
        context: of their inputs: of each row's, or of each input's where rows can share it.
        inputs: ``(c,)``, the input of each row of ``context``.
        out: of the next token.
    """

    owner: Tensor
    logprob: Tensor
    ids: Tensor
    context: Context
    inputs: Tensor
    out: StepOutput


class _Looked(NamedTuple):
    """Where the rows of a step looked.

    Attributes:
        attention: ``(n, S)``.
        parent: ``(n,)``, the row each went on from, among those of the step before.
    """

    attention: Tensor
    parent: Tensor


class _Grown(NamedTuple):
    """Continuations that were kept, ``m`` of them in the order of :class:`_Rows`.

    Attributes:
        owner: ``(m,)``, the input of each.
        parent: ``(m,)``, the row each goes on from.
        token: ``(m,)``.
        logprob: ``(m,)`` float64.
    """

    owner: Tensor
    parent: Tensor
    token: Tensor
    logprob: Tensor


class _Search:
    """One search.

    Args:
        rows: the inputs.
        limits: tokens at most of each, at least 1.
        deadline: when to give what there is, by ``perf_counter``.

    Attributes:
        decoded: the results, once :meth:`turns` is exhausted.
    """

    def __init__(
        self, head: TokenHead, rows: Sequence[Row], limits: Sequence[int], options: BeamOptions, deadline: float
    ) -> None:
        self.decoded: list[Decoded] = []
        self._head, self._given, self._options, self._deadline = head, rows, options, deadline
        decode = head.output_tokenizer.decode
        self._inputs = [Input(limit, options.beam_size, decode, []) for limit in limits]
        self._late = False
        self._device = next(head.parameters()).device
        self._advance = advancing(head, self._device)
        self._sharing = sharing(head, self._device)
        self._likeliest = finding(head, self._device)
        self._looked: list[_Looked] = []
        self._forbidden = sorted(head.forbidden_ids)
        self._ends = self._tensor(sorted(head.end_ids))
        self._prompts = [head.prompt(row) for row in rows]
        self._base: tuple[State, Context] = {}, {}

    def turns(self) -> Iterator[None]:
        """Do everything, a bounded piece between two items."""
        began = perf_counter()
        start, begun = starting(self._head, self._device), list[tuple[Context, State]]()
        step = max(min(_STARTED // max(one.limit for one in self._inputs), _BEGUN), 1)
        for first in range(0, len(self._given), step):
            begun.append(start(self._given[first : first + step]))
            yield
        self._base = verbs.concat([state for _, state in begun]), join([context for context, _ in begun])
        rows: _Rows | None = self._first()
        ready = perf_counter()
        while rows is not None:
            yield
            rows = self._step(rows)
        self._finish(ready - began, perf_counter() - ready)

    # --- steps --------------------------------------------------------------------------------------------------

    def _first(self) -> _Rows:
        """Every input's prompt, read."""
        state, context = self._base
        count = len(self._given)
        lengths = {len(prompt) for prompt in self._prompts}
        if lengths == {1}:
            out = self._advance(self._padded(self._prompts), state, context)
        else:
            ragged = None if len(lengths) == 1 else self._tensor([len(prompt) for prompt in self._prompts])
            out = self._head.next(self._padded(self._prompts), state, context, lengths=ragged)
        owner = torch.arange(count, device=self._device)
        blank = torch.zeros(count, dtype=torch.float64, device=self._device)
        self._look(out, owner)
        return _Rows(owner, blank, owner.new_zeros(count, 0), context, owner, out)

    def _step(self, rows: _Rows) -> _Rows | None:
        """One more token for every row; None when no row is left."""
        grown = self._grow(rows)
        tokens = rows.ids.shape[1] + 1
        self._late = perf_counter() >= self._deadline
        limits = self._tensor([one.limit for one in self._inputs])
        ended = torch.isin(grown.token, self._ends)
        leaving = ended | (limits[grown.owner] <= tokens) | self._late
        if bool(leaving.any()):
            self._put_aside(rows, grown, leaving, ended)
        staying = ~leaving & ~self._settled(grown, leaving)[grown.owner]
        if not bool(staying.any()):
            return None
        owner, parent, token = grown.owner[staying], grown.parent[staying], grown.token[staying]
        ids = torch.cat([rows.ids[parent], token.unsqueeze(1)], 1)
        context, inputs = self._context(rows, owner)
        state = rows.out.state
        if self._options.beam_size > 1 or len(owner) != len(rows.owner):
            state = verbs.select(state, parent)
        if self._sharing is None:
            out = self._advance(token.unsqueeze(1), state, context)
        else:
            out = self._sharing(token.unsqueeze(1), state, context, torch.searchsorted(inputs, owner))
        self._look(out, parent)
        return _Rows(owner, grown.logprob[staying], ids, context, inputs, out)

    def _context(self, rows: _Rows, owner: Tensor) -> tuple[Context, Tensor]:
        """For rows of these inputs, the context, and the inputs that it is of."""
        if self._sharing is None:
            needed, kept = owner, torch.equal(owner, rows.inputs)
        else:
            needed = torch.unique_consecutive(owner)
            # Inputs that nobody needs any more cost little until they are many.
            kept = 2 * len(needed) > len(rows.inputs)
        return (rows.context, rows.inputs) if kept else (verbs.select(self._base[1], needed), needed)

    def _look(self, out: StepOutput, parent: Tensor) -> None:
        if out.attention is not None:
            self._looked.append(_Looked(out.attention, parent))

    def _grow(self, rows: _Rows) -> _Grown:
        """The likeliest continuations of each input, as many as it has places."""
        beam, count = self._options.beam_size, len(self._inputs)
        logits = rows.out.logits
        width = min(beam, logits.shape[1])
        steps, tokens = self._likeliest(logits, width, self._forbidden)
        if bool(steps[:, 0].isnan().any()):
            raise not_numbers()
        if beam == 1:
            if not bool((steps > -inf).all()):
                raise no_choice()
            every = torch.arange(len(tokens), device=self._device)
            return _Grown(rows.owner, every, tokens[:, 0], rows.logprob + steps[:, 0])
        # Rows of one input side by side: (B, K * width), -inf where there is no row.
        first = torch.searchsorted(rows.owner, torch.arange(count, device=self._device))
        slot = torch.arange(len(rows.owner), device=self._device) - first[rows.owner]
        side = steps.new_full((count, beam, width), -inf)
        side[rows.owner, slot] = rows.logprob.unsqueeze(1) + steps
        best, cells = side.flatten(1).topk(beam)
        places = self._tensor([one.places for one in self._inputs]).unsqueeze(1)
        kept = (best > -inf) & (torch.arange(beam, device=self._device) < places)
        owner, rank = kept.nonzero(as_tuple=True)
        if not len(owner):
            raise no_choice()
        cell = cells[owner, rank]
        parent = first[owner] + cell // width
        return _Grown(owner, parent, tokens[parent, cell % width], best[owner, rank])

    def _put_aside(self, rows: _Rows, grown: _Grown, leaving: Tensor, ended: Tensor) -> None:
        """Keep the hypotheses that end here."""
        parents = grown.parent[leaving]
        ids = torch.cat([rows.ids[parents], grown.token[leaving].unsqueeze(1)], 1)
        owners, logprobs = grown.owner[leaving], grown.logprob[leaving].tolist()
        covered = self._covered(owners, parents, ids.shape[1])
        penalty = length_penalty(ids.shape[1], self._options.length_penalty)
        for owner, parent, whole, logprob, complete, cover in zip(
            owners.tolist(), parents.tolist(), ids.tolist(), logprobs, ended[leaving].tolist(), covered, strict=True
        ):
            own = tuple(whole[:-1] if complete else whole)
            self._inputs[owner].found.append(Found(logprob / penalty + cover, logprob, own, complete, parent))
            self._inputs[owner].places -= 1

    def _settled(self, grown: _Grown, leaving: Tensor) -> Tensor:
        """``(B,)`` bool: inputs none of whose rows needs to go on."""
        done = [False] * len(self._inputs)
        if self._options.beam_size > 1:
            owners, logprobs = grown.owner[~leaving].tolist(), grown.logprob[~leaving].tolist()
            best: dict[int, float] = {}
            for owner, logprob in zip(owners, logprobs, strict=True):
                best.setdefault(owner, logprob)
            for owner, logprob in best.items():
                done[owner] = self._inputs[owner].settled(logprob, self._options)
        return torch.tensor(done, device=self._device)

    def _covered(self, owners: Tensor, rows: Tensor, tokens: int) -> list[float]:
        """``cp`` of Wu et al. 2016, eq. 14, of ``m`` hypotheses of so many tokens, from rows of the last step."""
        weight = self._options.coverage_penalty
        if not weight:
            return [0.0] * len(owners)
        attention = self._attention(rows, torch.full_like(rows, tokens))
        lengths = self._base[1].get("lengths")
        if attention is None or lengths is None:
            raise ConfigError("coverage_penalty is for models with attention, and this one has none. Set it to 0.")
        seen = attention.sum(1).double().clamp(_UNSEEN, 1.0).log()
        inside = torch.arange(seen.shape[1], device=self._device) < lengths[owners].unsqueeze(1)
        penalties: list[float] = (weight * torch.where(inside, seen, 0.0).sum(1)).tolist()
        return penalties

    # --- results ------------------------------------------------------------------------------------------------

    def _attention(self, rows: Tensor, tokens: Tensor) -> Tensor | None:
        """``(m, T, S)``: the attention while each token of ``m`` hypotheses was chosen, 0 beyond their end; None where
        the head attends to nothing.

        Args:
            rows: ``(m,)``, the row each came from when its last token was chosen.
            tokens: ``(m,)``, how many it has, the end token included.
        """
        if not self._looked:
            return None
        longest = int(tokens.max())
        first = self._looked[0].attention
        found = first.new_zeros(len(rows), longest, first.shape[1])
        at = rows.clone()
        for step in reversed(range(longest)):
            looked, inside = self._looked[step], tokens > step
            found[inside, step] = looked.attention[at[inside]]
            at[inside] = looked.parent[at[inside]]
        return found

    def _finish(self, prefill: float, seconds: float) -> None:
        ranked = [one.ranked(self._options.n_best) for one in self._inputs]
        rows, tokens = zip(*((best.row, best.tokens) for best, *_ in ranked), strict=True)
        attention = self._attention(self._tensor(rows), self._tensor(tokens))
        if attention is not None:
            attention = attention.cpu()
        count = len(self._inputs)
        size = verbs.nbytes(self._base[0]) // count
        for place, (row, found) in enumerate(zip(self._given, ranked, strict=True)):
            best, written = found[0], tuple(one.hypothesis() for one in found)
            usage = Usage(len(self._prompts[place]), best.tokens, seconds / count, prefill / count, size)
            reason: Reason = "end" if best.complete else "timeout" if self._late else "length"
            own = None if attention is None else attention[place, : best.tokens]
            prompt = str(row[self._head.config.columns[0].name])
            self.decoded.append(Decoded(prompt, written[0].text, (), Done(reason, usage), written, own))

    def _tensor(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._device)

    def _padded(self, rows: Sequence[Sequence[int]]) -> Tensor:
        longest = max(len(row) for row in rows)
        return self._tensor([[*row, *[0] * (longest - len(row))] for row in rows])  # type: ignore[misc]
