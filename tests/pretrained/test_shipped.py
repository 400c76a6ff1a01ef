"""The checkpoints that ship: small, honest, and better than noise."""

from __future__ import annotations

from pathlib import Path

import pytest

import seqdemo
from seqdemo.pretrained import CheckpointRecord, checkpoints

SHIPPED = [record for record in checkpoints() if record.source == "shipped"]
LARGEST = 12_000_000

GENERATORS = [record for record in SHIPPED if record.task == "generation"]
CLASSIFIERS = [record for record in SHIPPED if record.task == "sentiment"]
TRANSLATORS = [record for record in SHIPPED if record.task == "translation"]
TALKERS = [record for record in GENERATORS if record.name.startswith("chat-")]

PASSAGES = {
    "shakespeare": "To die, to sleep;\nNo more; and by a sleep to say we end\nThe heart-ache and the thousand shocks",
    "stories": "Once upon a time there was a little girl who lived with her mother in a small house near the forest.",
    "chat-en": ">Do you like to watch movies?\n<Yes, I do. I saw a good one last week.\n>What was it about?\n",
    "chat-zh": ">你喜欢看电影吗？\n<喜欢啊，最近有什么好看的电影吗？\n>我也不知道，周末一起去看吧。\n",
}
OPINIONS = {
    "sentiment-en": {
        "positive": ("I love it, thank you so much!", "Great food and friendly staff."),
        "negative": ("This is terrible, I hate it.", "The worst service I have ever had, very disappointing."),
        "neutral": ("The meeting is on Tuesday at six.",),
    },
}
PLAIN = {
    "translate-zh-en": (("他每天早上喝咖啡。", "coffee"), ("她喜欢唱歌。", "")),
    "translate-en-zh": (("He drinks coffee every morning.", "咖啡"), ("She likes to sing.", "")),
    "translate-en-fr": (("He drinks coffee every morning.", "café"), ("She likes to sing.", "")),
}
LIMITS = {"chat-zh": 6.0}
"""Bits a character that a passage may cost, where it is more than 2.5: a Chinese character says more than a letter."""


def test_the_first_two_are_there() -> None:
    """A character model and a subword model ship, each with prompts worth trying."""
    assert {record.name for record in GENERATORS} >= {"shakespeare", "stories"}
    assert all(record.summary and record.examples for record in SHIPPED)


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: record.name)
def test_size_and_card(record: CheckpointRecord) -> None:
    """At most 12 MB; the card gives data with hashes, licence, the exact command and metrics; no machine path."""
    files = [path for path in record.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    pipe = seqdemo.load(record.name, device="cpu")
    assert pipe.manifest is not None
    assert pipe.manifest.license
    assert pipe.manifest.metrics["loss"] > 0
    for part in ("## Data", "## Licence", "## Metrics", "seqdemo train --preset", "SHA-256", pipe.manifest.license):
        assert part in pipe.card, part
    assert str(pipe.manifest.metrics["loss"])[:5] in pipe.card
    assert str(Path.home()) not in pipe.card


@pytest.mark.parametrize("record", GENERATORS, ids=lambda record: record.name)
def test_it_knows_its_language(record: CheckpointRecord) -> None:
    """A passage of its kind costs few bits a character; its words shuffled cost more, reversed far more."""
    pipe = seqdemo.load(record.name, device="cpu")
    passage = PASSAGES[record.name]
    bits = pipe.score(passage).bits_per_character
    assert bits < LIMITS.get(record.name, 2.5)
    words = sorted(passage.split() if " " in passage else passage)
    assert pipe.score(" ".join(words)).bits_per_character > bits + 0.2
    assert pipe.score(passage[::-1]).bits_per_character > 1.6 * bits


@pytest.mark.parametrize("record", GENERATORS, ids=lambda record: record.name)
def test_its_prompts_work(record: CheckpointRecord) -> None:
    """Every suggested prompt is answered, and the same seed says the same."""
    pipe = seqdemo.load(record.name, device="cpu")
    for prompt in record.examples:
        text = pipe.session(max_tokens=30, seed=1).send(prompt).text
        assert text.strip()
        assert text == pipe.session(max_tokens=30, seed=1).send(prompt).text


@pytest.mark.parametrize("record", TALKERS, ids=lambda record: record.name)
def test_it_answers_in_turns(record: CheckpointRecord) -> None:
    """Of twenty replies in a row none is empty or holds a mark of a turn, nearly all end by themselves, and what was
    said before makes a difference."""
    pipe = seqdemo.load(record.name, device="cpu")
    talk = pipe.session(seed=1, max_tokens=80)
    replies = [talk.send(record.examples[turn % len(record.examples)]) for turn in range(20)]
    assert all(reply.text.strip() for reply in replies)
    assert not any(mark in reply.text for reply in replies for mark in ("\n", "<", ">"))
    assert sum(reply.done.reason == "stop" for reply in replies) >= 18
    fresh = pipe.session(seed=1, max_tokens=80).write(replies[1].text, record.examples[1])
    within = talk.tree.nodes[min(node.id for node in talk.tree.nodes.values() if node.text == replies[1].text)]
    assert abs(fresh.tokens[0].logprob - within.tokens[0].logprob) > 1e-3


@pytest.mark.parametrize("record", CLASSIFIERS, ids=lambda record: record.name)
def test_it_tells_opinions_apart(record: CheckpointRecord) -> None:
    """Plain opinions get their labels; any text at all, none among them, gets probabilities that add up to 1."""
    pipe = seqdemo.load(record.name, device="cpu")
    for label, texts in OPINIONS[record.name].items():
        assert [result.label for result in pipe(list(texts))] == [label] * len(texts)
    for result in pipe(["", "!!!", "Это предложение.", "word " * 3000, *record.examples]):
        assert sum(result.scores.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("record", TRANSLATORS, ids=lambda record: record.name)
def test_it_translates(record: CheckpointRecord) -> None:
    """Every suggested sentence is translated to its end and aligned; a plain one comes out with the word that counts,
    and is likelier than the translation of another sentence."""
    pipe = seqdemo.load(record.name, device="cpu")
    for found in pipe(list(record.examples)):
        assert found.alternatives[0].complete
        assert found.text.strip()
        assert len(found.alignment) == len(found.target_tokens)
        assert found.unknown < 0.1
    (source, word), (other, _) = PLAIN[record.name]
    found, wrong = pipe([source, other])
    assert word in found.text
    own = pipe.score(found.text, source=source).bits_per_character
    assert own < pipe.score(wrong.text, source=source).bits_per_character - 0.5
    assert pipe("Где вокзал").unknown > 0.5
