"""BLEU and chrF by sacreBLEU, an optional package: figures to stand beside published ones, with their signatures."""

from __future__ import annotations

from collections.abc import Sequence

from seqdemo.plugin import Judged

__all__ = ["judge"]

_MISSING = "No BLEU and chrF: sacrebleu is not installed (pip install 'seqdemo[translation]')."


def judge(texts: Sequence[str], references: Sequence[str]) -> Judged:
    """BLEU (Papineni et al. 2002), cased and lower-cased, and chrF2 (Popović 2015), each 0 to 100.

    References mostly in Chinese characters are compared by character (sacreBLEU's ``zh``), others by its ``13a``.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        return Judged({}, (_MISSING,))
    tokenize = "zh" if _chinese(references) else "13a"
    scorers = {
        "bleu": BLEU(tokenize=tokenize),
        "bleu_lowercase": BLEU(tokenize=tokenize, lowercase=True),
        "chrf": CHRF(),
    }
    values: dict[str, float] = {}
    notes: list[str] = []
    for name, scorer in scorers.items():
        values[name] = scorer.corpus_score(list(texts), [list(references)]).score
        notes.append(f"{name}: {scorer.get_signature()}")
    return Judged(values, tuple(notes))


def _chinese(texts: Sequence[str]) -> bool:
    letters = [character for text in texts for character in text if character.isalpha()]
    return sum("\u4e00" <= character <= "\u9fff" for character in letters) * 2 > len(letters)
