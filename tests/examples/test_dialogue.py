"""The scripts that prepare conversations and measure what was trained on them."""

from __future__ import annotations

import csv
import io
import json
import lzma
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import seqdemo


@pytest.fixture(scope="module")
def scripts(checkpoint_scripts: Callable[..., Any]) -> Iterator[dict[str, ModuleType]]:
    with checkpoint_scripts("story_text", "report", "dialogue_text", "prepare_dialogue", "report_dialogue") as found:
        yield found


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.encode()))


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: list[list[str]], **form: str) -> str:
    text = io.StringIO()
    csv.writer(text, **form).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few conversations of each set, as the sets are published."""
    folder = tmp_path_factory.mktemp("data")
    names = ["anna", "boris", "clara", "dimitri", "emil", "frida", "gregor", "helga", "ivan", "jutta"]
    talks: list[dict[str, object]] = [
        {"turns": [f"Do you know {one} and {two}?", "I do.", f"Is {two} well<smiles>?", f"Yes, {two} is.", "Good."]}
        for one in names
        for two in names
    ]
    talks += [talks[0], {"turns": ["What the fuck?", "Hm."]}, {"turns": ["Write to a@b.com", "Hm."]}]
    talks.append({"turns": ["***", "Hm."]})
    pack(folder / "self_dialogue" / "dialogues.jsonl.xz", lines(talks))
    for part in ("valid_freq", "valid_rare", "test_freq", "test_rare"):
        turns = [["x", f"I saw {part} today", "Happy"], ["x", "twice.", "Happy"], ["y", "Where was that?", "Sad"]]
        pack(folder / "topical_chat" / f"{part}.jsonl.xz", lines([{"id": part, "turns": turns}]))
    for part in ("valid", "test"):
        header = ["user 1 personas", "user 2 personas", "Best Generated Conversation"]
        spoken = f"User 1: A {part} hello\nUser 2: And hello to you\nUser 1: Bye"
        blank = "User 1: I am [name]\nUser 2: Me too"
        rows = [header, ["a\nb", "c", spoken], ["a", "c", blank]]
        pack(folder / "synthetic_persona_chat" / f"{part}.csv.xz", table(rows))
    header = ["Question", "Answer", "Source", "Metadata"]
    asked = [[f"Are you {name}?", "I am a machine.", "s", "m"] for name in names]
    pack(folder / "ms_chitchat" / "en_calm.tsv.xz", table([header, *asked], delimiter="\t"))

    asked_alike = "> Source: s\n## ? 你是谁\n- 你叫什么\n- 叫什么名字\n\n**Filters:**\n- editorial = chitchat\n\n"
    blocks = [f"{asked_alike}```markdown\n{answer}\n```\n\n" for answer in ("我没有姓名。", "你好。")]
    pack(folder / "ms_chitchat" / "zh-cn.qna.xz", blocks[0] + blocks[1].replace("谁", "好"))
    first, second = "天地玄黄宇宙洪荒", "日月盈昃辰宿列张"
    short = [[f"你 好 {one} {two} ！ ! ! !", "是 . . . 好 p l u s"] for one in first for two in second]
    pack(folder / "lccc_base" / "LCCC-base_valid.json.xz", json.dumps([*short, ["你 个 傻 逼", "是"]]))
    pack(folder / "lccc_base" / "LCCC-base_test.json.xz", json.dumps([["啊 ก", "是"], ["打 1 2 3 4 5 6 7", "是"]]))
    pack(folder / "lccc_base" / "toy_data.json.xz", json.dumps({"train": [short[0]], "valid": [["晚 安", "晚 安"]]}))
    for part in ("dev", "test"):
        pack(folder / "kdconv" / f"{part}.jsonl.xz", lines([{"turns": [f"看过{part}吗", "看过【美国】", "好"]}]))
    return folder


def run(scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, name: str, *given: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, given)])
    scripts[name].main()


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in lzma.decompress(path.read_bytes()).decode().split("\n") if line]


def test_english_in_turns(
    scripts: dict[str, ModuleType], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each set's conversations in turns; coarse, private, empty and repeated ones are left out and counted."""
    run(scripts, monkeypatch, "prepare_dialogue", data, tmp_path, "--languages", "en")
    parts = {part: read(tmp_path / f"chat-en-{part}.jsonl.xz") for part in ("train", "dev", "test")}
    texts = {row["text"] for rows in parts.values() for row in rows}
    assert ">Do you know anna and boris?\n<I do.\n>Is boris well?\n<Yes, boris is.\n>Good.\n" in texts
    assert ">I saw valid_freq today twice.\n<Where was that?\n" in texts
    assert ">A test hello\n<And hello to you\n>Bye\n" in texts
    assert not any("[name]" in text or "fuck" in text or "@" in text for text in texts)
    report = json.loads((tmp_path / "chat-en-report.json").read_text("utf-8"))
    assert report["left_out"]["self_dialogue"] == {
        "repeats another conversation": 1,
        "coarse language": 1,
        "an address or a number": 1,
        "a message that is empty or in other characters": 1,
    }
    small = [row["text"] for row in parts["train"] if row["source"] == "ms_chitchat"]
    assert sum(text.count(">") for text in small) == 10
    assert max(text.count(">") for text in small) <= 4
    assert all(row["source"] != "ms_chitchat" for row in [*parts["dev"], *parts["test"]])


def test_chinese_in_turns(
    scripts: dict[str, ModuleType], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces between characters go, marks are full-width, and every question has its own block's answer."""
    run(scripts, monkeypatch, "prepare_dialogue", data, tmp_path, "--languages", "zh")
    rows = [row for part in ("train", "dev", "test") for row in read(tmp_path / f"chat-zh-{part}.jsonl.xz")]
    texts = {row["text"] for row in rows}
    assert ">你好玄月！！！\n<是……好plus\n" in texts
    assert ">看过test吗\n<看过美国\n>好\n" in texts
    assert not any("傻" in text or "1234567" in text for text in texts)
    joined = "".join(row["text"] for row in rows if row["source"] == "ms_chitchat")
    assert joined.count("\n<我没有姓名。\n") == joined.count("\n<你好。\n") == 3
    assert ">你是谁\n<我没有姓名。\n" in joined
    assert ">你是好\n<你好。\n" in joined


def test_parts_share_nothing_and_do_not_change(
    scripts: dict[str, ModuleType], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No conversation is in two parts, and a second run gives the same bytes."""
    for name in ("one", "two"):
        run(scripts, monkeypatch, "prepare_dialogue", data, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 8
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
    found = {part: read(tmp_path / "one" / f"chat-zh-{part}.jsonl.xz") for part in ("train", "dev", "test")}
    texts = {part: {row["text"] for row in rows} for part, rows in found.items()}
    assert all(texts.values())
    assert not texts["train"] & (texts["dev"] | texts["test"])
    assert not texts["dev"] & texts["test"]


def test_a_training_conversation_that_repeats_held_out_messages_goes(scripts: dict[str, ModuleType]) -> None:
    """Half of the long messages is enough; short ones do not count, and small talk stays."""
    script = scripts["prepare_dialogue"]

    def talk(source: str, *messages: str) -> object:
        return script.Conversation(source, messages)

    parts = {
        "train": [
            talk("a", "a long message here", "another long one here"),
            talk("a", "a long message here", "new words come here", "and more of them come"),
            talk("a", "yes", "no"),
            talk("ms_chitchat", "a long message here", "yes"),
        ],
        "dev": [talk("a", "A long message, here!", "yes")],
        "test": [talk("a", "yes", "no")],
    }
    kept = parts["train"][1:]
    report = script.Report()
    script.apart(parts, 12, report)
    assert parts["train"] == kept
    assert report.left_out == {"a": {"repeats held-out messages": 1}}


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [(["a", "b"], ">a\n<b\n"), (["a", "b", "c"], ">a\n<b\n>c\n"), (["a", "b", "c", "d"], ">a\n<b\n>c\n<d\n")],
)
def test_a_conversation_is_what_a_session_reads(
    scripts: dict[str, ModuleType], messages: list[str], wanted: str
) -> None:
    """Rendered text is the template's; a last message without a reply has no beginning of one."""
    template = seqdemo.training.presets.preset("chat-en").task_config
    rendered = scripts["prepare_dialogue"].rendered(messages, template["turn_template"], template["turn_end"])
    assert rendered == wanted
    if len(messages) % 2 == 0:
        pipe = seqdemo.pipeline(tokenizer="bytes", model_config={"hidden_size": 8}, task_config=template)
        talk = pipe.session()
        for message, reply in zip(messages[::2], messages[1::2], strict=True):
            talk.write(reply, message)
        talk.write("x", "y")
        read_ = [token for node in talk.tree.nodes.values() for token in node.ids]
        start = pipe.tokenizers["text"].special_tokens
        text = pipe.tokenizers["text"].decode([token for token in read_ if token not in start.values()])
        assert text == f"{wanted}>y\n<x"


@pytest.mark.parametrize(
    ("script", "given", "coarse"),
    [
        ("english", "That was bullshit.", True),
        ("english", "Arsenal hello Scunthorpe, Dick Van Dyke and a classic assassin", False),
        ("english", "You're so gay", True),
        ("english", "They are a gay couple", False),
        ("chinese", "你妈妈好吗，生日你想怎么过", False),
        ("chinese", "去你妈的", True),
        ("chinese", "我是处女座，胸怀大志", False),
    ],
)
def test_coarse_language(scripts: dict[str, ModuleType], script: str, given: str, coarse: bool) -> None:
    """Coarse words are found as words; names and words that hold them are not."""
    assert getattr(scripts["dialogue_text"], f"is_coarse_{script}")(given) is coarse


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("他 说 : 好 , 1 , 0 0 0 个", "他说：好，1,000个"),
        ("哈 哈 哈 哈 哈 哈 。 。 。", "哈哈哈……"),
        ("看 Harry Potter 吗 ?", "看Harry Potter吗？"),
        ("ของ", ""),
    ],
)
def test_chinese_message(scripts: dict[str, ModuleType], given: str, wanted: str) -> None:
    """Spaces between words in letters stay, those between characters go."""
    assert scripts["dialogue_text"].chinese_message(given) == wanted


def test_variety_of_replies(scripts: dict[str, ModuleType]) -> None:
    """Counted by hand: five words of three kinds in two replies, one run of three words twice."""
    found = scripts["report_dialogue"].variety(["a b a b A b", "你好", "你好"])
    assert found["words"] == 10 / 3
    assert found["distinct_1"] == 4 / 10
    assert found["distinct_2"] == 3 / 7
    assert found["repeated"] == 2 / 4
    assert found["same"] == 2 / 3


def test_a_report_is_written(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options are chosen on dev, every exchange is shown, and the figures agree with the pipeline's own."""
    template = seqdemo.training.presets.preset("chat-en").task_config
    task = {name: template[name] for name in ("turn_template", "turn_end", "stop")}
    pipe = seqdemo.pipeline(tokenizer="bytes", model_config={"hidden_size": 8}, task_config=task)
    pipe.save(tmp_path / "checkpoint")
    talks = [f">how is it {n}\n<it is {n}\n>is it so\n<yes\n" for n in range(6)]
    for part in ("dev", "test"):
        pack(tmp_path / f"{part}.jsonl.xz", lines([{"source": "a", "text": talk} for talk in talks]))
    monkeypatch.setattr(scripts["report_dialogue"], "GRID", ((0.5, 1.0, 1.0), (1.0, 1.0, 1.0)))
    monkeypatch.setattr(scripts["report_dialogue"], "LIMIT", 5)
    given: list[str | Path] = [
        "--dev",
        tmp_path / "dev.jsonl.xz",
        "--test",
        tmp_path / "test.jsonl.xz",
        "--out",
        tmp_path / "out",
    ]
    run(scripts, monkeypatch, "report_dialogue", tmp_path / "checkpoint", *given, "--count", "3", "--replies", "2")
    result = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    card = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert len(result["exchanges"]) == card.count("\n| ") - card.count("\n| ---") - 9 == 3
    assert [one["before"] for one in result["exchanges"]][1] == ["how is it 1", "it is 1"]
    state = result["carried"]
    assert state["tokens"] == 2 * len("yes")
    assert state["perplexity"] == pytest.approx(state["perplexity_int8"], rel=0.05)
    assert state["perplexity"] != state["perplexity_message_alone"]
    assert f"perplexity {state['perplexity']:.2f} after all" in card
    assert "bits per byte" in capsys.readouterr().out
