"""Every example runs on its own, as a reader runs it, and prints the figures it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))


PAIRS = "german,english\n" + "".join(f"eins {n % 3},one {n % 3}\n" for n in range(60))
DAYS = "note,weather\n" + "".join(
    f"{('rain', 'sun')[n % 3 == 0]} on day {n % 7},{('wet', 'dry')[n % 3 == 0]}\n" for n in range(120)
)
RUNS = {
    "shapes": "shapes.py",
    "vanishing": "vanishing.py --out fade.png",
    "time machine": "time_machine.py",
    "gates": "gates.py --out gates.png",
    "generation": "generate_english_chinese.py",
    "sentiment": "sentiment.py",
    "translation": "translation.py",
    "pairs": "translation.py --data pairs.csv --column source=german --column target=english --steps 40 --text",
    "days": "sentiment.py --data days.csv --column text=note --column label=weather --text",
    "state": "state_is_a_value.py",
}
ASKED = {"pairs": "eins 2", "days": "sun on day 3"}


class Ran(NamedTuple):
    printed: str
    folder: Path


def _run(name: str, folder: Path) -> Ran:
    (folder / "pairs.csv").write_text(PAIRS, "utf-8")
    (folder / "days.csv").write_text(DAYS, "utf-8")
    script, *arguments = RUNS[name].split()
    command = [sys.executable, str(EXAMPLES / script), *arguments, *([ASKED[name]] if name in ASKED else [])]
    environment = {**os.environ, "SEQDEMO_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return Ran(done.stdout, folder)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Ran]]:
    """What a script prints when it is run in a folder, and the folder. As many run at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = {name: pool.submit(_run, name, tmp_path_factory.mktemp("example")) for name in RUNS}
        yield lambda name: begun[name].result()
        pool.shutdown(cancel_futures=True)


def rows(text: str, pattern: str) -> list[tuple[float, ...]]:
    """The numbers of every line that matches."""
    found = [match.groups() for match in re.finditer(pattern, text, re.MULTILINE)]
    assert found, f"no line matches {pattern!r} in:\n{text}"
    return [tuple(float(value.replace(",", "")) for value in groups) for groups in found]


def is_picture(path: Path) -> bool:
    """Whether it is a PNG with something on it."""
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000


def test_shapes_agree(ran: Callable[[str], Ran]) -> None:
    """Cells, layers, steps, splits and seqdemo's models give the same numbers in the shapes the table says."""
    printed, _ = ran("shapes")
    assert re.search(r"nn\.RNN batch_first, bidirectional\s+\(4, 7, 5\)\s+\(4, 7, 16\)\s+\(2, 4, 8\)", printed)
    assert re.search(r"nn\.LSTM .*\(3, 4, 8\)\s+\(3, 4, 8\)", printed)
    differences = rows(printed, r"largest difference (\S+)$")
    assert len(differences) >= 12
    assert max(differences) < (1e-12,)


def test_gradients_vanish_explode_and_are_clipped(ran: Callable[[str], Ran]) -> None:
    """The gradient fades fastest in the RNN, explodes beyond radius 1, and truncation is exact in its window."""
    printed, folder = ran("vanishing")
    kept = {}
    for name in ("rnn", "gru", "lstm", "lstm, forget bias 1", "lstm, forget bias 2"):
        ((left, kept[name]),) = rows(printed, rf"^  {name}\s+1e\+00 .*?(\S+)\s+(\S+)$")
        assert left < 1
    assert kept["rnn"] < kept["lstm"] < kept["lstm, forget bias 1"] < kept["lstm, forget bias 2"] < 1
    assert kept["rnn"] < kept["gru"]

    exploding = rows(printed, r"^  ([012]\.[05]) +(\S+) +(\S+) +(\S+) +(\S+) +(\S+)$")
    norms = [row[1] for row in exploding]
    assert norms == sorted(norms)
    assert norms[-1] > 1e4
    assert all(row[2] <= 1.0 for row in exploding)
    assert exploding[-1][4] > exploding[-1][5], "the step that was not clipped did more harm"

    truncated = rows(printed, r"^  (5|10|20|40) +(\S+) +(\S+) +(\S+)$")
    assert all(inside < 1e-12 and before == 0 for _, inside, before, _ in truncated)
    missed = [row[3] for row in truncated]
    assert missed == sorted(missed, reverse=True)
    assert is_picture(folder / "fade.png")


def test_the_time_machine_is_learnt(ran: Callable[[str], Ran]) -> None:
    """Perplexity falls while the model learns, on the text it reads further than on the held-out one."""
    printed, folder = ran("time machine")
    learning = rows(printed, r"^ +(\d+) +([\d.]+) +([\d.]+) ")
    assert len(learning) == 10
    assert learning[-1][1] < learning[0][1]
    ((train,),) = rows(printed, r"train perplexity +([\d.]+)")
    ((held_out,),) = rows(printed, r"held-out perplexity +([\d.]+)")
    assert train < held_out < 6.5
    assert (folder / "runs" / "time-machine" / "seqdemo.json").is_file()


def test_gates_are_drawn(ran: Callable[[str], Ran]) -> None:
    """Five gates are measured and drawn, and some unit of each tells spaces from letters."""
    printed, folder = ran("gates")
    assert all(perplexity < 10 for (perplexity,) in rows(printed, r"held-out perplexity ([\d.]+)"))
    gates = rows(printed, r"^  (?:lstm|gru) +[fiozr] +(\S+) +(\S+)% +(\S+)% +(\S+) +(\S+) +(\S+)$")
    assert len(gates) == 5
    assert all(0 < mean < 1 and abs(at_space - in_word) > 0.3 for mean, _, _, _, at_space, in_word in gates)
    assert is_picture(folder / "gates.png")


def test_generation_in_english_and_chinese(ran: Callable[[str], Ran]) -> None:
    """After 我爱 comes 你, a reply can be had again in other words, and a saved session goes on alike."""
    printed, _ = ran("generation")
    assert "我爱 -> 你" in printed
    (chinese, *_), (english, *_) = (
        re.findall(r"^      '(.)' +([\d.]+)%", part, re.MULTILINE) for part in printed.split("'The Time Trav'")[:2]
    )
    assert (chinese[0], english[0]) == ("你", "e")
    assert float(english[1]) > 50
    assert len(set(re.findall(r"^  (?:send|regenerate) +我\|(.*)$", printed, re.MULTILINE))) == 3
    assert re.findall(r"^  saved +(.*)$", printed, re.MULTILINE) == re.findall(
        r"^  loaded +(.*)$", printed, re.MULTILINE
    )
    assert "a second time for all of this: 0" in printed


def test_sentiment_is_learnt_and_explained(ran: Callable[[str], Ran]) -> None:
    """Rows it never saw are classified, "not" and "but" are understood, and each word's part in it is shown."""
    printed, _ = ran("sentiment")
    ((accuracy,),) = rows(printed, r"accuracy ([\d.]+)%")
    assert accuracy > 90  # always saying the commonest label is right for about half
    labels = dict(re.findall(r"^'(.*)': (\w+) \(", printed, re.MULTILINE))
    assert list(labels.values()) == ["positive", "negative", "negative", "positive"]
    part = printed.split("'the food was not bad'")[1].split("'the food was not good'")[0]
    contributions = {word: float(value) for word, value in re.findall(r"^ +(\w+) +\d+% +(\S+)", part, re.MULTILINE)}
    assert set(contributions) == {"the", "food", "was", "not", "bad"}
    assert contributions["not"] > 0


def test_translation_is_learnt_and_aligned(ran: Callable[[str], Ran]) -> None:
    """Unseen sentences come out right to the letter, and attention crosses where French turns words round."""
    printed, _ = ran("translation")
    ((right,),) = rows(printed, r"never saw, (\d+) right in every word")
    assert right > 180
    looked = set(re.findall(r"(\w+ <- \w+)$", printed, re.MULTILINE))
    assert {"chien <- dog", "noir <- black", "train <- train", "blanc <- white"} <= looked
    assert len(re.findall(r"also found, score", printed)) == 2


def test_translation_of_a_table_of_ones_own(ran: Callable[[str], Ran]) -> None:
    """Other data in a table with other names for its columns."""
    assert "eins 2\n-> one 2" in ran("pairs").printed


def test_sentiment_of_a_table_of_ones_own(ran: Callable[[str], Ran]) -> None:
    """Another table, with other names for its columns and other labels."""
    assert "'sun on day 3': dry" in ran("days").printed


def test_the_state_is_a_value(ran: Callable[[str], Ran]) -> None:
    """The state has one size after 10 and after 97,000 characters, and standing in it again reads next to nothing."""
    printed, _ = ran("state")
    sizes = rows(printed, r"^ +([\d,]+) +([\d,]+) +[\d.]+   '")
    assert [read for read, _ in sizes] == [10, 1_000, 97_000]
    assert len({size for _, size in sizes}) == 1
    assert "characters read again: 0" in printed
    ((reread,),) = rows(printed, r"characters read for it: (\d+)")
    assert reread <= 31
    assert "differ by 0e+00" in printed


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_says_what_it_teaches(script: str) -> None:
    """A docstring with the lesson, a line of Chinese and the command; and a row in the index."""
    text = (EXAMPLES / script).read_text(encoding="utf-8")
    docstring = text.split('"""')[1]
    assert "What you learn" in docstring
    assert f"python examples/{script}" in docstring
    assert re.search(r"[一-鿿]", docstring)
    assert f"`{script}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
