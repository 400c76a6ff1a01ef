"""BLEU and chrF."""

from __future__ import annotations

import sys

import pytest
import sacrebleu

from seqdemo.builtin.translation.bleu import judge


def test_figures_are_sacrebleus_own_with_signatures() -> None:
    """Cased, lower-cased and chrF, and what each was computed with."""
    texts, references = ["The cat sits on the mat.", "a dog runs Fast"], ["The cat sat on the mat.", "A dog runs fast"]
    found = judge(texts, references)
    assert found.metrics == {
        "bleu": sacrebleu.corpus_bleu(texts, [references]).score,
        "bleu_lowercase": sacrebleu.corpus_bleu(texts, [references], lowercase=True).score,
        "chrf": sacrebleu.corpus_chrf(texts, [references]).score,
    }
    assert found.metrics["bleu_lowercase"] > found.metrics["bleu"] > 0
    assert ["tok:13a" in note and "case:lc" in note for note in found.notes] == [False, True, False]
    assert all(sacrebleu.__version__ in note for note in found.notes)


def test_chinese_is_compared_by_character() -> None:
    """References in Chinese characters choose sacreBLEU's ``zh``."""
    texts, references = ["我爱你们大家。", "他是老师。"], ["我爱你们大家。", "她是老师。"]
    found = judge(texts, references)
    assert found.metrics["bleu"] == sacrebleu.corpus_bleu(texts, [references], tokenize="zh").score
    assert "tok:zh" in found.notes[0]


def test_without_sacrebleu_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of an evaluation goes on."""
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    found = judge(["a"], ["a"])
    assert found.metrics == {}
    assert "seqdemo[translation]" in found.notes[0]
