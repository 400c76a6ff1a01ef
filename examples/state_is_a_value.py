"""The state is a value: of constant size, saved in a file, forked, and stood in again at any token.

What you learn: that a recurrent model keeps all it has read in a few tensors whose size never changes, so that the
next token costs the same after ten characters and after a hundred thousand; and that these tensors can be kept,
copied and gone back to, which makes rewinding a long conversation a matter of picking up the right one.

状态就是一个值：大小不变，可以保存、分叉、倒回到任意一个字符。

    python examples/state_is_a_value.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import seqdemo
from seqdemo.plugin import state

DATA = Path(__file__).parent / "data" / "time_machine.txt"


def trained(folder: Path) -> seqdemo.Pipeline:
    """A small character model of The Time Machine."""
    seqdemo.train(
        data=DATA,
        out=folder / "model",
        model="lstm",
        tokenizer="char",
        model_config={"hidden_size": 128},
        task_config={"embedding_size": 32},
        steps=300,
        batch_size=32,
        window=32,
        learning_rate=1e-2,
        validation_fraction=0,
        precision="fp32",
        progress=False,
    )
    return seqdemo.load(folder / "model", device="cpu")


def constant(pipe: seqdemo.Pipeline, text: str) -> None:
    """Read more and more of the text, and look at what is carried; times are the best of five."""
    print("1. The state does not grow")
    print(f"  {'characters read':>16}{'bytes of state':>16}{'ms for the next':>17}   what comes next")
    for length in (10, 1_000, 97_000):
        talk = pipe.session(max_tokens=40, temperature=0.7, seed=1)
        talk.send(text[:length], max_tokens=0)
        replies = [talk.regenerate() for _ in range(5)]
        cost = min(1000 * reply.usage.seconds / reply.usage.tokens for reply in replies)
        print(f"  {length:>16,}{talk.state_bytes:>16,}{cost:>17.2f}   {str(replies[0])!r}")
    for name, tensor in pipe.session().state.items():
        print(f"  {name:<18}{tuple(tensor.shape)}  {tensor.dtype}")
    print("  That is all: h and c of the layer, and the output that the next distribution is computed from.")


def saved_and_forked(pipe: seqdemo.Pipeline, text: str, folder: Path) -> seqdemo.Session:
    """Read once; then go on from there as often as one likes."""
    print("\n2. Read once, saved, and gone on from twice")
    talk = pipe.session(max_tokens=60, temperature=0.7, seed=1)
    talk.send(text, max_tokens=0)
    talk.save(folder / "talk.safetensors")
    print(f"  {talk.tokens_read:,} characters read; they are {talk.state_bytes:,} bytes now")
    one, two = talk.fork(), pipe.load_session(folder / "talk.safetensors")
    assert state.equal(one.state, two.state), "a fork and a loaded session stand in the same state, bit for bit"
    print(f"  a fork:            {str(one.send(' I '))!r}")
    print(f"  the file, loaded:  {str(two.send(' She '))!r}")
    print(f"  characters read again: {one.steps + two.steps}")
    return one


def rewound(talk: seqdemo.Session) -> None:
    """Stand inside a reply, and have it go on otherwise."""
    print("\n3. Rewound into the middle of a reply")
    reply = talk.path[-1]
    print(f"  the reply:              {reply.text!r}")
    before = talk.steps
    talk.stand(reply.id, tokens=20)
    print(f"  stood after 20 of {len(reply.ids)}; characters read for it: {talk.steps - before}, at most 31 ever")
    for seed in (7, 8):
        talk.stand(reply.id, tokens=20)
        print(f"  and from there, seed {seed}: {str(talk.continue_(seed=seed))!r}")
    talk.stand(reply.id)
    again = talk.state
    talk.drop_snapshots()
    talk.stand(reply.id)
    print(f"  all states thrown away and rebuilt from the ids: differ by {state.max_difference(again, talk.state):.0e}")


def main() -> None:
    """Train for a few seconds, then read, fork and rewind."""
    text = DATA.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        pipe = trained(Path(folder))
        constant(pipe, text)
        talk = saved_and_forked(pipe, text, Path(folder))
        rewound(talk)


if __name__ == "__main__":
    main()
