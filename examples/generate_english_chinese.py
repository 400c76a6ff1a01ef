"""Generation in English and in Chinese: what a model could have said, what it says, and saying it otherwise.

What you learn: that generating is choosing the next token again and again from a distribution, which is shown; what
temperature and top-k do to it; that Chinese needs nothing special, a character is a token; and that a conversation
can be regenerated, forked and undone, because its state is a value.

中英文生成：训练两个很小的模型，看「我爱」之后每个字的概率，再重来、分叉、撤回。

    python examples/generate_english_chinese.py
"""

from __future__ import annotations

from math import exp
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import seqdemo

DATA = Path(__file__).parent / "data"


def trained(text: str, out: Path, **training: Any) -> seqdemo.Pipeline:
    """A small character model of a text."""
    seqdemo.train(
        data=DATA / text,
        out=out,
        model="lstm",
        tokenizer="char",
        model_config={"hidden_size": 160},
        task_config={"embedding_size": 48},
        learning_rate=1e-2,
        validation_fraction=0,
        precision="fp32",
        progress=False,
        **training,
    )
    return seqdemo.load(out, device="cpu")


def next_characters(pipe: seqdemo.Pipeline, prompt: str) -> None:
    """The likeliest next characters: the model's probabilities, and what is left of them after the rules."""
    made = pipe.generate(prompt, max_tokens=1, temperature=0.7, top_k=3, seed=1)
    print(f"  {prompt!r}: 'character' probability -> at temperature 0.7, only the best 3")
    for other in made.tokens[0].alternatives:
        print(f"      {other.text!r:<6}{other.raw:>8.1%} -> {other.ruled:>6.1%}   {'█' * round(30 * other.raw)}")


def continuations(pipe: seqdemo.Pipeline, prompts: list[str], max_tokens: int) -> None:
    """For each prompt: always the likeliest character, then two drawn texts, with the mean probability of a choice."""
    for prompt in prompts:
        for how, options in {"greedy": {"temperature": 0}, "seed 1": {"seed": 1}, "seed 2": {"seed": 2}}.items():
            made = pipe.generate(prompt, max_tokens=max_tokens, **options)
            mean = exp(sum(token.logprob for token in made.tokens) / len(made.tokens))
            print(f"  {how:<8}{mean:>5.0%}   {prompt}|{' / '.join(str(made).splitlines())}")


def conversation(pipe: seqdemo.Pipeline, folder: Path) -> None:
    """Say the same thing otherwise: regenerate, fork, undo, save."""
    talk = pipe.session(max_tokens=24, stop=["\n"], temperature=1.0, seed=1)

    def show(what: str, message: str, reply: seqdemo.Generation) -> None:
        print(f"  {what:<14}{message.strip()}|{reply}")

    show("send", "我", talk.send("我"))
    show("regenerate", "我", talk.regenerate())
    show("regenerate", "我", talk.regenerate())
    print(f"  {len(talk.versions())} versions are kept; the conversation goes on from the last one")

    other = talk.fork()
    show("here", "今天", talk.send("\n今天"))
    show("in a fork", "明天", other.send("\n明天"))
    talk.undo()
    show("undo, then", "妈妈", talk.send("\n妈妈"))

    talk.save(folder / "talk.safetensors")
    back = pipe.load_session(folder / "talk.safetensors")
    here, there = talk.send("\n你"), back.send("\n你")
    show("saved", "你", here)
    show("loaded", "你", there)
    assert str(here) == str(there), "a loaded session goes on as if it had never been away"
    print(f"  tokens read a second time for all of this: {talk.steps + other.steps + back.steps}")


def main() -> None:
    """Train both, then look, write and talk."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        chinese = trained("chinese_sentences.txt", place / "zh", steps=500, batch_size=8, window=24)
        english = trained("time_machine.txt", place / "en", steps=400, batch_size=32, window=32)
        for pipe in (chinese, english):
            print(f"{pipe!r}, {pipe.tokenizers['text'].vocab_size} characters")

        print("\n1. What could come next")
        next_characters(chinese, "我爱")
        next_characters(english, "The Time Trav")

        print("\n2. What does come next")
        answer = str(chinese.generate("我爱", max_tokens=1, temperature=0))
        print(f"  我爱 -> {answer}")
        continuations(chinese, ["我爱", "春天", "从前有一"], max_tokens=16)
        continuations(english, ["The Time Traveller ", "I was "], max_tokens=60)

        print("  Greedy is the surest and soon goes in circles; drawing is less sure and says more.")

        print("\n3. State is a value: 重来、分叉、撤回、保存")
        conversation(chinese, place)


if __name__ == "__main__":
    main()
