"""What the product does with a pretrained model equals what its own library does with it, on a fresh run of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny import FAMILIES

import seqdemo
from seqdemo.decoding import Snapshot
from seqdemo.plugin import TokenHead
from seqdemo.plugin import state as verbs

LONG = 18
"""Tokens generated: with the prompts, beyond every chunk and every attention window of the tiny models."""


@pytest.fixture(scope="module")
def theirs(make_folder: Callable[..., Path]) -> Callable[[str, list[int]], list[int]]:
    """Greedy text of the library's own ``generate`` in float64, from a model loaded anew for it."""
    known: dict[tuple[str, tuple[int, ...]], list[int]] = {}

    def generate(family: str, ids: list[int]) -> list[int]:
        if (family, tuple(ids)) not in known:
            model_class = getattr(transformers, FAMILIES[family][0])
            model = model_class.from_pretrained(make_folder(family), dtype=torch.float64).eval()
            made = model.generate(
                torch.tensor([ids]), max_new_tokens=LONG, do_sample=False, eos_token_id=None, pad_token_id=2
            )
            known[family, tuple(ids)] = made[0, len(ids) :].tolist()
        return known[family, tuple(ids)]

    return generate


@pytest.fixture
def head(family: str, make_folder: Callable[..., Path]) -> TokenHead:
    """The family's head in float64."""
    found = seqdemo.load(make_folder(family), dtype="float64", device="cpu").head
    assert isinstance(found, TokenHead)
    return found


def prompt(length: int, seed: int = 0) -> list[int]:
    """Ordinary token ids."""
    return torch.randint(5, 300, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def row(ids: list[int]) -> torch.Tensor:
    return torch.tensor([ids])


def greedy(head: TokenHead, out: Any, count: int) -> list[list[int]]:
    """So many likeliest tokens for every row."""
    chosen: list[torch.Tensor] = []
    for _ in range(count):
        chosen.append(out.logits.argmax(-1))
        out = head.next(chosen[-1].unsqueeze(1), out.state, {})
    return torch.stack(chosen, 1).tolist()


@torch.inference_mode()
def test_logits_and_generate(family: str, head: TokenHead, make_folder: Callable[..., Path], theirs: Any) -> None:
    """Logits at every position equal theirs (which round to float32 inside), and the greedy text is theirs."""
    ids = prompt(21)
    model_class = getattr(transformers, FAMILIES[family][0])
    model = model_class.from_pretrained(make_folder(family), dtype=torch.float64).eval()
    ours, state = head.logits(row(ids), head.initial_state(1), {})
    assert torch.allclose(ours.double(), model(row(ids)).logits.double(), atol=1e-4, rtol=0)
    found = greedy(head, head.next(row([]).long().reshape(1, 0), state, {}), LONG)
    assert found == [theirs(family, ids)]
    assert len(set(found[0])) > 5


@pytest.mark.parametrize("sizes", [(1, 20), (4, 5, 12), (20, 1), (1,) * 21], ids=str)
@torch.inference_mode()
def test_chunked_prompt(family: str, head: TokenHead, theirs: Any, sizes: tuple[int, ...]) -> None:
    """A prompt read in pieces of any size goes on as theirs, which reads it at once."""
    ids, state, at = prompt(21), head.initial_state(1), 0
    for size in sizes:
        out = head.next(row(ids[at : at + size]), state, {})
        state, at = out.state, at + size
    assert greedy(head, out, LONG) == [theirs(family, ids)]


@torch.inference_mode()
def test_forked_state(family: str, head: TokenHead, theirs: Any) -> None:
    """Two texts that go on from one state each equal a fresh run, and the state they share stays bit for bit."""
    shared, ends = prompt(9), [prompt(4, seed=1), prompt(7, seed=2)]
    state = head.next(row(shared), head.initial_state(1), {}).state
    before = verbs.clone(state)
    for end in ends:
        assert greedy(head, head.next(row(end), state, {}), LONG) == [theirs(family, shared + end)]
    assert verbs.equal(before, state)


@torch.inference_mode()
def test_ragged_batch(family: str, head: TokenHead, theirs: Any) -> None:
    """Rows of any length in one batch, right-padded and read in two pieces, each equal their own fresh run."""
    prompts = [prompt(length, seed=length) for length in (3, 14, 8)]
    ids = torch.full((3, 16), 7)
    for number, one in enumerate(prompts):
        ids[number, : len(one)] = torch.tensor(one)
    lengths = torch.tensor([len(one) for one in prompts])
    first = head.next(ids[:, :9], head.initial_state(3), {}, lengths.clamp(max=9))
    out = head.next(ids[:, 9:], first.state, {}, (lengths - 9).clamp(min=0))
    assert greedy(head, out, LONG) == [theirs(family, one) for one in prompts]


@torch.inference_mode()
def test_state_is_constant_and_survives(family: str, head: TokenHead, theirs: Any) -> None:
    """A state has one size however much was read, and goes on after a way through bytes."""
    ids = prompt(11)
    out = head.next(row(ids), head.initial_state(1), {})
    assert verbs.layout(out.state) == verbs.layout(head.initial_state(1))
    snapshot = Snapshot.from_bytes(Snapshot(out.state, len(ids)).to_bytes())
    assert verbs.equal(snapshot.state, out.state)
    again = head.next(row([]).long().reshape(1, 0), snapshot.state, {})
    assert torch.equal(again.logits, out.logits)
    assert greedy(head, again, LONG) == [theirs(family, ids)]


@torch.inference_mode()
def test_trace_changes_nothing(family: str, head: TokenHead) -> None:
    """Asking for inner values gives the same distribution, and something to look at of every recurrent layer."""
    ids = row(prompt(7))
    plain = head.next(ids, head.initial_state(1), {})
    traced = head.next(ids, head.initial_state(1), {}, trace=True)
    assert torch.equal(plain.logits, traced.logits)
    assert all(value.shape[:2] == (1, 7) for value in traced.trace.values())
    assert {name.partition(".")[0] for name in traced.trace} >= {"layer0", "layer1"}


def test_half_precision(family: str, make_folder: Callable[..., Path]) -> None:
    """In bfloat16 the weights are so, sums over time stay float32, and the distribution is near that of float32."""
    ids = row(prompt(12))
    with torch.inference_mode():
        heads = [seqdemo.load(make_folder(family), dtype=dtype, device="cpu").head for dtype in ("float32", "bfloat16")]
        full, half = (head.next(ids, head.initial_state(1), {}) for head in heads)  # type: ignore[operator]
    assert next(heads[1].parameters()).dtype == torch.bfloat16
    assert {value.dtype for value in half.state.values()} <= {torch.bfloat16, torch.float32, torch.int64}
    full_p, half_p = full.logits.softmax(-1), half.logits.softmax(-1)
    assert float((full_p - half_p).abs().sum()) < 0.5


def test_through_the_engine(family: str, make_folder: Callable[..., Path]) -> None:
    """Sessions fork and rewind, several texts at once equal each alone, and the library's text comes out of it."""
    pipe = seqdemo.load(make_folder(family), dtype="float64", device="cpu")
    texts = ["The time", "His grey eyes shone", "我爱你"]
    options: dict[str, Any] = {"temperature": 0.0, "max_tokens": LONG}
    together = pipe.generate(texts, **options)
    model = getattr(transformers, FAMILIES[family][0]).from_pretrained(pipe.folder, dtype=torch.float64).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(pipe.folder)
    ids = tokenizer(texts[0], return_tensors="pt").input_ids
    end = sorted(pipe.head.end_ids)  # type: ignore[union-attr]
    made = model.generate(ids, max_new_tokens=LONG, do_sample=False, eos_token_id=end, pad_token_id=2)
    assert [token.id for token in together[0].tokens] == made[0, ids.shape[1] :].tolist()
    assert [str(one) for one in together] == [str(pipe.generate(text, **options)) for text in texts]
    session = pipe.session(**options)
    first = session.send(texts[0])
    session.send("and then")
    session.undo()
    assert [m.text for m in session.messages] == [texts[0], str(first)]
    session.undo()
    assert str(session.send(texts[0])) == str(first) == str(together[0])
