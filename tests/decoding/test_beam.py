"""Beam search, beside a naive one that pursues one input at a time and never ends early."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqdemo.decoding import Request, engine, search
from seqdemo.decoding.found import length_penalty
from seqdemo.errors import ConfigError, PluginError
from seqdemo.plugin import (
    BeamOptions,
    Context,
    Options,
    SamplingOptions,
    State,
    StepOutput,
    TaskConfig,
    TokenHead,
    Tokenizer,
    TokenizerConfig,
    sequence,
)
from seqdemo.plugin.config import build

CPU = torch.device("cpu")
EOS, UNK = 0, 1


class Letters(Tokenizer):
    """``eos``, ``unk``, then letters, as many as asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    @classmethod
    def train(cls, texts: Any, config: TokenizerConfig) -> Letters:
        return cls(6)

    @classmethod
    def load(cls, folder: Path, config: TokenizerConfig) -> Letters:
        return cls(6)

    def save(self, folder: Path) -> None:
        pass

    @property
    def vocab_size(self) -> int:
        return self.size

    @property
    def special_tokens(self) -> dict[str, int]:
        return {"eos": EOS, "unk": UNK}

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 95 for letter in text]

    def token_bytes(self, token: int) -> bytes:
        return b"" if token < 2 else bytes([token + 95])


class TinyConfig(TaskConfig):
    options: ClassVar[type[Options]] = BeamOptions


class Tiny(TokenHead):
    """A GRU with random weights whose output depends on what it attends to in a random memory of the input's length."""

    def __init__(self, seed: int, size: int = 6, limit: int = 6, end: float = 0.5) -> None:
        super().__init__(TinyConfig(), {"text": Letters(size)}, None)  # type: ignore[arg-type]
        self.most = limit
        self.threads: set[str] = set()
        self.steps = 0
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(size, 5)
            self.cell = nn.GRUCell(5, 7)
            self.query = nn.Linear(7, 4)
            self.output = nn.Linear(11, size)
            self.source = nn.Embedding(8, 4)
            for parameter in self.parameters():
                nn.init.normal_(parameter)
            with torch.no_grad():
                self.output.bias[EOS] += end
        self.double().eval().requires_grad_(False)

    def initial_state(self, batch_size: int) -> State:
        return {"decoder.h": torch.zeros(batch_size, 7, dtype=torch.float64)}

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        return [EOS, 2][: 1 + len(row["text"]) % 2]

    def start(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        texts = [row["text"] for row in rows]
        longest = max(map(len, texts))
        places = torch.tensor([[ord(c) % 8 for c in text] + [0] * (longest - len(text)) for text in texts])
        lengths = torch.tensor([len(text) for text in texts])
        return {"memory": self.source(places), "lengths": lengths}, self.initial_state(len(rows))

    def _read(self, ids: Tensor, state: State, context: Context, lengths: Tensor | None) -> tuple[Tensor, ...]:
        h, logits, weights = state["decoder.h"], [], []
        beyond = ~sequence.valid(context["lengths"], context["memory"].shape[1])
        for t in range(ids.shape[1]):
            now = self.cell(self.embedding(ids[:, t]), h)
            h = now if lengths is None else torch.where((lengths > t).unsqueeze(1), now, h)
            scores = (context["memory"] @ self.query(h).unsqueeze(2)).squeeze(2).masked_fill(beyond, -torch.inf)
            weights.append(scores.softmax(1))
            mean = (weights[-1].unsqueeze(1) @ context["memory"]).squeeze(1)
            logits.append(self.output(torch.cat([h, mean], 1)))
        return torch.stack(logits, 1), torch.stack(weights, 1), h

    def next(
        self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None, trace: bool = False
    ) -> StepOutput:
        self.threads.add(threading.current_thread().name)
        self.steps += 1
        logits, weights, h = self._read(ids, state, context, lengths)
        last = (torch.full((len(ids),), ids.shape[1]) if lengths is None else lengths) - 1
        attention = weights[torch.arange(len(ids)), last]
        return StepOutput(logits[:, -1].float(), {"decoder.h": h}, {}, attention)

    def logits(self, ids: Tensor, state: State, context: Context) -> tuple[Tensor, State]:
        logits, _, h = self._read(ids, state, context, None)
        return logits.float(), {"decoder.h": h}

    def attend(self, ids: Tensor, state: State, context: Context) -> Tensor:
        return self._read(ids, state, context, None)[1]

    def max_tokens(self, row: Mapping[str, Any], options: SamplingOptions) -> int:
        return min(options.max_tokens, self.most)


def rows(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


Found = list[tuple[bool, float, float, tuple[int, ...]]]
"""Hypotheses, best first: whether complete, score, log-probability, ids with the end token."""


def judged(head: Tiny, row: Mapping[str, Any], ids: tuple[int, ...], options: BeamOptions) -> tuple[float, float]:
    """Score and log-probability of ids, by reading them at once."""
    context, state = head.start([row])
    prompt = head.prompt(row)
    read = torch.tensor([[*prompt, *ids[:-1]]])
    logits = head.logits(read, state, context)[0][0, len(prompt) - 1 :].double().log_softmax(1)
    logprob = sum(logits[place, token].item() for place, token in enumerate(ids))
    attention = head.attend(read, state, context)
    cover = 0.0
    if options.coverage_penalty:
        seen = attention[0, len(prompt) - 1 :].sum(0).tolist()
        cover = options.coverage_penalty * sum(math.log(min(max(one, 1e-9), 1.0)) for one in seen)
    return logprob / length_penalty(len(ids), options.length_penalty) + cover, logprob


def naive(head: Tiny, row: Mapping[str, Any], options: BeamOptions) -> Found:
    """Everything that a beam ever puts aside, ranked."""
    context, state = head.start([row])
    alive: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    aside: list[tuple[bool, tuple[int, ...]]] = []
    places = options.beam_size
    for _ in range(head.max_tokens(row, options)):
        grown = []
        for logprob, ids in alive:
            logits = head.logits(torch.tensor([[*head.prompt(row), *ids]]), state, context)[0][0, -1]
            steps = logits.double().log_softmax(0).tolist()
            grown += [(logprob + step, (*ids, token)) for token, step in enumerate(steps) if token != UNK]
        kept = sorted(grown, reverse=True)[:places]
        aside += [(True, ids) for _, ids in kept if ids[-1] == EOS]
        alive = [one for one in kept if one[1][-1] != EOS]
        places = options.beam_size - len(aside)
    aside += [(False, ids) for _, ids in alive]
    ranked = [(complete, *judged(head, row, ids, options), ids) for complete, ids in aside]
    return sorted(ranked, key=lambda one: one[:2], reverse=True)


def same(decoded: Any, want: Found, n_best: int) -> None:
    """Compare hypotheses one by one."""
    found = decoded.hypotheses
    assert [one.ids for one in found] == [
        tuple(token for token in ids if token != EOS) for _, _, _, ids in want[:n_best]
    ]
    for one, (complete, score, logprob, _) in zip(found, want[:n_best], strict=True):
        assert one.complete == complete
        assert one.score == pytest.approx(score, abs=1e-5)
        assert one.logprob == pytest.approx(logprob, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    beam=st.integers(1, 6),
    best=st.integers(1, 6),
    power=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    cover=st.sampled_from([0.0, 0.4]),
    end=st.sampled_from([-2.0, 0.5, 2.0]),
    texts=st.lists(st.text("abcdefgh", min_size=1, max_size=5), min_size=1, max_size=4),
)
def test_many_inputs_at_once_find_what_a_naive_search_of_each_finds(
    seed: int, beam: int, best: int, power: float, cover: float, end: float, texts: list[str]
) -> None:
    """Texts, order, scores and log-probabilities; so ending early, sharing steps and padding change nothing."""
    head = Tiny(seed, end=end)
    options = BeamOptions(beam_size=beam, n_best=min(best, beam), length_penalty=power, coverage_penalty=cover)
    for row, decoded in zip(rows(*texts), search(head, rows(*texts), options, CPU), strict=True):
        same(decoded, naive(head, row, options), options.n_best)
        assert decoded.prompt == row["text"]
        assert decoded.text == decoded.hypotheses[0].text == head.output_tokenizer.decode(decoded.hypotheses[0].ids)


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_of_all_texts(seed: int) -> None:
    """With a place for every text there is, nothing scores higher, whatever the length penalty."""
    head = Tiny(seed, size=4, limit=5)
    for power in (0.0, 1.0):
        options = BeamOptions(beam_size=64, n_best=3, length_penalty=power)
        for row in rows("ab", "cde"):
            every = [
                (*judged(head, row, (*ids, EOS), options), ids)
                for length in range(5)
                for ids in product((2, 3), repeat=length)
            ]
            ranked = sorted(every, reverse=True)[:3]
            (decoded,) = search(head, [row], options, CPU)
            assert [one.ids for one in decoded.hypotheses] == [ids for _, _, ids in ranked]
            assert decoded.hypotheses[0].score == pytest.approx(ranked[0][0], abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy(seed: int) -> None:
    """Token for token what the engine streams at temperature 0, its log-probabilities added up."""
    head, options = Tiny(seed, limit=12, end=-0.5), BeamOptions()
    given = rows("abc", "h", "defg")
    for row, decoded in zip(given, search(head, given, options, CPU), strict=True):
        streamed = engine("cpu").submit(Request(head, head.prompt(row), options, row)).decoded()
        ids = [token.id for token in streamed.tokens]
        (best,) = decoded.hypotheses
        assert [*best.ids, *[EOS] * best.complete] == ids
        assert (decoded.text, decoded.done.reason) == (streamed.text, streamed.done.reason)
        assert best.logprob == pytest.approx(sum(token.logprob for token in streamed.tokens), abs=1e-5)
        assert decoded.done.usage.tokens == len(ids)


def test_attention_is_that_of_the_best_text() -> None:
    """One row for each token and for the end, each of which sums to 1, as reading the text at once gives it."""
    head = Tiny(3)
    given = rows("abcd", "ef")
    for row, decoded in zip(given, search(head, given, BeamOptions(beam_size=3), CPU), strict=True):
        best = decoded.hypotheses[0]
        ids = [*best.ids, *[EOS] * best.complete]
        context, state = head.start([row])
        prompt = head.prompt(row)
        want = head.attend(torch.tensor([[*prompt, *ids[:-1]]]), state, context)
        assert decoded.attention is not None
        assert torch.allclose(decoded.attention[:, : len(row["text"])], want[0, len(prompt) - 1 :])
        assert torch.allclose(decoded.attention.sum(1), torch.ones(len(ids), dtype=torch.float64))


def test_a_search_ends_when_nothing_can_be_better() -> None:
    """A text that ends at once and almost surely is found in one step, of 200 allowed."""
    head = Tiny(0, limit=200, end=40.0)
    (decoded,) = search(head, rows("a"), BeamOptions(beam_size=4, length_penalty=0.0), CPU)
    assert decoded.text == ""
    assert decoded.done.reason == "end"
    assert head.steps == 1


class Late(Tiny):
    """Ends at once with probability 0.5, or goes on with 0.4 to a text of five letters that is certain from there."""

    def next(
        self, ids: Tensor, state: State, context: Context, lengths: Tensor | None = None, trace: bool = False
    ) -> StepOutput:
        read = state["decoder.h"] + ids.shape[1]
        odds = torch.full((len(ids), 6), 1e-9)
        odds[:, 2:6] = torch.tensor([0.04, 0.03, 0.02, 0.01])
        for row, count in enumerate(read[:, 0].tolist()):
            if count == 1:
                odds[row, EOS], odds[row, 2] = 0.5, 0.4
            else:
                odds[row, EOS if count > 5 else 2] = 100.0
        return StepOutput(odds.log(), {"decoder.h": read}, {})


def test_a_search_goes_on_while_something_can_be_better() -> None:
    """A long text that is less likely but scores higher is not missed because a short one ended first."""
    (short,) = search(Late(0), rows("ab"), BeamOptions(beam_size=2, length_penalty=0.0), CPU)
    (long,) = search(Late(0), rows("ab"), BeamOptions(beam_size=2, length_penalty=1.0), CPU)
    assert (short.text, long.text) == ("", "aaaaa")
    assert long.hypotheses[0].logprob < short.hypotheses[0].logprob


def test_work_is_done_in_the_owner_thread() -> None:
    """Whoever asks, torch work is the engine's."""
    head = Tiny(1)
    search(head, rows("a", "bc"), BeamOptions(beam_size=2), CPU)
    assert head.threads == {"seqdemo-engine-cpu"}


def test_many_inputs_are_begun_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn begins more than 32 of 40 inputs; contexts of all pieces are joined, and every text is its own."""
    head, options = Tiny(4), BeamOptions(beam_size=2)
    given = rows(*("abcdefgh"[: 1 + n % 8] for n in range(40)))
    alone = {row["text"]: search(head, [row], options, CPU)[0].text for row in given}
    sizes: list[int] = []
    plain = head.start

    def start(some: Sequence[Mapping[str, Any]]) -> tuple[Context, State]:
        sizes.append(len(some))
        return plain(some)

    monkeypatch.setattr(head, "start", start)
    together = search(head, given, options, CPU)
    assert (max(sizes), sum(sizes)) == (32, 40)
    assert [one.text for one in together] == [alone[row["text"]] for row in given]


def test_exact_gives_the_same_bits_beside_others() -> None:
    """Scores are equal, not only close."""
    head, options = Tiny(2), BeamOptions(beam_size=3, n_best=3, exact=True)
    alone = search(head, rows("abc"), options, CPU)[0]
    beside = search(head, rows("defgh", "abc", "a"), options, CPU)[1]
    assert beside.hypotheses == alone.hypotheses


def test_out_of_time_gives_what_there_is() -> None:
    """The best so far, named incomplete."""
    head = Tiny(0, limit=200, end=-40.0)
    decoded = search(head, rows("a", "bc"), BeamOptions(beam_size=2, timeout=1e-9), CPU)
    assert [one.done.reason for one in decoded] == ["timeout", "timeout"]
    assert [len(one.hypotheses[0].ids) for one in decoded] == [1, 1]
    assert not decoded[0].hypotheses[0].complete


def test_no_tokens_allowed_is_no_text() -> None:
    """An input whose limit is 0 is not read; its neighbours are."""
    head = Tiny(0)
    empty, *_ = search(head, rows("a"), BeamOptions(max_tokens=0), CPU)
    assert (empty.text, empty.hypotheses, empty.done.reason) == ("", (), "length")
    assert search(head, [], BeamOptions(), CPU) == []
    assert head.steps == 0


def test_coverage_needs_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that attends to nothing says so."""
    head = Tiny(0)
    plain = head.next
    monkeypatch.setattr(head, "next", lambda *a, **k: plain(*a, **k)._replace(attention=None))
    with pytest.raises(ConfigError, match="Set it to 0"):
        search(head, rows("a"), BeamOptions(coverage_penalty=0.2), CPU)
    assert search(head, rows("a"), BeamOptions(), CPU)[0].attention is None


def test_what_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN logits end the search with the head's fault named."""
    head = Tiny(0)
    plain: Callable[..., StepOutput] = head.next
    monkeypatch.setattr(head, "next", lambda *a, **k: plain(*a, **k)._replace(logits=torch.full((1, 6), torch.nan)))
    with pytest.raises(PluginError):
        search(head, rows("a"), BeamOptions(), CPU)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"beam_size": 2, "n_best": 3}, "n_best = 3"),
        ({"beam_size": 2, "temperature": 0.5}, "temperature"),
        ({"beam_size": 2, "stop": ("x",)}, "stop"),
        ({"beam_size": 2, "repetition_penalty": 1.3}, "repetition_penalty"),
    ],
)
def test_options_that_do_not_go_together(values: dict[str, Any], said: str) -> None:
    """Searching and drawing cannot both be asked for."""
    with pytest.raises(ConfigError, match=said):
        build(BeamOptions, values, "this")
