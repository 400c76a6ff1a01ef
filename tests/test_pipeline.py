"""The SDK's face: what a script sees."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqdemo
from seqdemo.decoding import Engine
from seqdemo.errors import BusyError, ConfigError, DeviceError, TokenizerError, UnknownNameError
from seqdemo.pipeline import Pipeline
from seqdemo.plugin import Done, Generation, Token
from seqdemo.scoring import Score, score

Make = Callable[..., Pipeline]


def test_generate_is_text(make_pipeline: Make) -> None:
    """``str()`` of a generation is the text, equal for equal seeds, and streamed text adds up to it."""
    pipe = make_pipeline()
    first = pipe.generate("The time", max_tokens=30, seed=7)
    assert isinstance(first, Generation)
    assert str(first) == str(pipe.generate("The time", max_tokens=30, seed=7))
    assert str(first) != str(pipe.generate("The time", max_tokens=30, seed=8))
    events = list(pipe.stream("The time", max_tokens=30, seed=7))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.seed == 7
    assert "".join(e.text for e in events if isinstance(e, Token)) + done.text == str(first)
    assert done.usage.tokens == 30
    assert done.usage.state_bytes == pipe.state_bytes


def test_lists_in_lists_out(make_pipeline: Make) -> None:
    """A list of prompts gives a list, each as if it were alone."""
    pipe = make_pipeline()
    prompts = ["The", "time traveller", "我"]
    together = pipe.generate(prompts, max_tokens=12, seed=1)
    assert [str(g) for g in together] == [str(pipe.generate(p, max_tokens=12, seed=1)) for p in prompts]
    assert pipe.generate([], max_tokens=3) == []
    many = pipe.generate(["The"] * 300, max_tokens=2, seed=5)  # more than the engine lets wait
    assert {str(one) for one in many} == {str(pipe.generate("The", max_tokens=2, seed=5))}
    assert len(many) == 300
    assert str(pipe.predict({"text": "The"}, max_tokens=5, seed=2)) == str(pipe.generate("The", max_tokens=5, seed=2))


def test_a_list_waits_where_one_prompt_is_refused(make_pipeline: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a stream that fills half an engine without a queue, a list is served all the same, in order."""
    pipe, small = make_pipeline(), Engine("cpu", capacity=2, waiting=0)
    prompts = ["The", "time", "traveller"]
    want = [str(pipe.generate(prompt, max_tokens=5, seed=1)) for prompt in prompts]
    monkeypatch.setattr(sys.modules["seqdemo.pipeline"], "engine", lambda device: small)
    with pipe.stream("The", max_tokens=1_000_000) as beside:
        assert [str(one) for one in pipe.generate(prompts, max_tokens=5, seed=1)] == want
        with pipe.stream("The", max_tokens=1_000_000), pytest.raises(BusyError, match="2 requests are running"):
            pipe.generate(prompts, max_tokens=5)
    beside.decoded()
    small.close()


def test_a_drawn_seed_is_reported(make_pipeline: Make) -> None:
    """Without a seed one is drawn, and using the reported one again gives the same text."""
    pipe = make_pipeline()
    first = pipe.generate("The", max_tokens=20)
    assert str(pipe.generate("The", max_tokens=20, seed=first.seed)) == str(first)
    assert first.seed != pipe.generate("The", max_tokens=20).seed


@pytest.mark.parametrize("tokenizer", ["char", "bytes"])
def test_score_is_the_chain_rule(make_pipeline: Make, tokenizer: str) -> None:
    """Per-token log-probabilities equal those of reading everything at once, also across chunks."""
    pipe = make_pipeline(tokenizer=tokenizer)
    text = "The time traveller. " * 60
    score = pipe.score(text)
    head = pipe._token_head()
    start, ids = head.prompt({"text": ""}), pipe.tokenizers["text"].encode(text)
    logits, _ = head.logits(torch.tensor([start + ids]), head.initial_state(1), {})
    found = torch.log_softmax(logits[0, len(start) - 1 : -1].double(), -1)
    expected = found[torch.arange(len(ids)), ids]
    torch.testing.assert_close(torch.tensor(score.logprobs).double(), expected, rtol=1e-5, atol=1e-6)
    assert score.perplexity == pytest.approx(math.exp(-expected.mean().item()), rel=1e-5)
    assert score.bits_per_byte == pytest.approx(-expected.sum().item() / math.log(2) / len(text.encode()), rel=1e-5)
    assert "".join(score.tokens) == text


def test_a_text_is_scored_after_a_conversation(make_pipeline: Make) -> None:
    """Read in the state a session stands in, a text is as probable as behind all that was said before."""
    pipe = make_pipeline(task_config={"embedding_size": 8, "turn_template": "{message}\n"})
    session = pipe.session(max_tokens=20, seed=1)
    session.send("The time")
    text = " traveller was expounding. " * 30
    found = score(pipe._token_head(), text, pipe.device, {}, session.state)
    before = [token for node in session.path for token in node.ids]
    ids = pipe.tokenizers["text"].encode(text)
    logits, _ = pipe._token_head().logits(torch.tensor([before + ids]), pipe._token_head().initial_state(1), {})
    expected = torch.log_softmax(logits[0, len(before) - 1 : -1].double(), -1)[torch.arange(len(ids)), ids]
    torch.testing.assert_close(torch.tensor(found.logprobs).double(), expected, rtol=1e-5, atol=1e-5)


def test_a_notebook_has_the_pipelines_options(make_pipeline: Make) -> None:
    """Defaults given to it hold; what it writes is what the pipeline generates."""
    pipe = make_pipeline()
    made = pipe.notebook(max_tokens=9, temperature=0).stream("The time").generation()
    assert len(made.tokens) == 9
    assert made.text == str(pipe.generate("The time", max_tokens=9, temperature=0))


def test_a_text_that_cannot_be_has_no_finite_perplexity() -> None:
    """Where no number is large enough it is infinite."""
    assert Score("a", (1,), ("a",), (-1e9,)).perplexity == math.inf


def test_score_of_nothing(make_pipeline: Make) -> None:
    """An empty text is refused."""
    with pytest.raises(TokenizerError, match="nothing to score"):
        make_pipeline().score("")


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"max_tokens": -1},
        {"temprature": 1},
        {"seed": -3},
        {"stop": [""]},
    ],
)
def test_bad_options_are_one_line(make_pipeline: Make, options: dict[str, object]) -> None:
    """An option out of bounds, or unknown, is named in one line."""
    with pytest.raises(ConfigError) as caught:
        make_pipeline().generate("The", **options)
    assert next(iter(options)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_characters_are_named(make_pipeline: Make) -> None:
    """A prompt outside a char vocabulary names the character."""
    with pytest.raises(TokenizerError, match="ξ"):
        make_pipeline().generate("ξ")


def test_missing_things_are_named(make_pipeline: Make) -> None:
    """An unknown model and a device that is not there say what is."""
    with pytest.raises(UnknownNameError, match="lstm"):
        make_pipeline(model="lsmt")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cpu"):
            make_pipeline(device="cuda")
    with pytest.raises(DeviceError, match="cpu"):
        make_pipeline(device="abacus")


def test_a_megabyte_prompt(make_pipeline: Make) -> None:
    """A 1 MB prompt is read in chunks and reported on the way; the state stays as small as before."""
    pipe = make_pipeline(model_config={"hidden_size": 4})
    prompt = "The time traveller! ".replace("!", ".") * 50_000
    stream = pipe.stream(prompt, max_tokens=1, seed=0)
    events = list(stream)
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage.prompt_tokens == 1_000_000
    assert done.usage.state_bytes == pipe.state_bytes


def test_session_on_a_pipeline(make_pipeline: Make, tmp_path: Path) -> None:
    """A conversation saved and loaded goes on with the same text."""
    pipe = make_pipeline()
    session = pipe.session(max_tokens=10, seed=4)
    session.send("The time")
    session.save(tmp_path / "talk.safetensors")
    again = pipe.load_session(tmp_path / "talk.safetensors")
    assert str(again.send(" traveller")) == str(session.send(" traveller"))


def test_options_a_checkpoint_prefers(make_pipeline: Make, tmp_path: Path) -> None:
    """A checkpoint's own options stand in for the defaults, and what is given stands above both."""
    make_pipeline().save(tmp_path / "calm", options={"temperature": 0.25})
    pipe = seqdemo.load(tmp_path / "calm", device="cpu")
    assert pipe.options({}).temperature == 0.25
    assert pipe.options({"temperature": 0.5}).temperature == 0.5


def test_available() -> None:
    """Everything registered can be listed with a name and a summary."""
    for kind in ("models", "tokenizers", "tasks"):
        records = seqdemo.available(kind)
        assert records
        assert all(record.name and record.summary for record in records)
    assert {"rnn", "lstm", "gru", "scratch-rnn", "scratch-lstm", "scratch-gru"} <= {
        record.name for record in seqdemo.available("models")
    }
    assert isinstance(seqdemo.available("checkpoints"), list)
    with pytest.raises(seqdemo.SeqdemoError, match="models"):
        seqdemo.available("modles")


def test_parameters_are_counted_without_making_them(make_pipeline: Make) -> None:
    """The count is that of the pipeline itself, shared weights once; a model of 58 GB takes no memory."""
    for tie in (False, True):
        chosen: dict[str, Any] = {
            "model": "gru",
            "tokenizer": "bytes",
            "model_config": {"hidden_size": 12, "num_layers": 2},
            "task_config": {"embedding_size": 12, "tie_weights": tie},
        }
        assert seqdemo.count_parameters(**chosen) == make_pipeline(**chosen).parameters
    hidden, embedding, vocab = 60_000, 128, 256
    gates = 4 * (hidden * embedding + hidden * hidden + 2 * hidden)
    wanted = gates + vocab * embedding + vocab * hidden + vocab
    assert seqdemo.count_parameters(model="lstm", model_config={"hidden_size": hidden}) == wanted
