"""Checks of tokenizers."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqdemo.errors import SeqdemoError, TokenizerError
from seqdemo.plugin import Tokenizer

from .core import check, expect, fail, inapplicable
from .samples import UNSEEN
from .threads import side_by_side

if TYPE_CHECKING:
    from .tokenizer_lab import TokenizerLab


@check(
    "tokenizer",
    cause="a class that does not derive from Tokenizer, a train that returns nothing, or config left unset.",
    mend="return cls(config, …) from train, and set self.config.",
    needs=(),
)
def builds(lab: TokenizerLab) -> None:
    """``train`` makes a tokenizer with a config and a vocabulary."""
    made: object = lab.train()
    if not isinstance(made, Tokenizer):
        fail(f"train returned a {type(made).__name__}", "a Tokenizer")
    size: object = made.vocab_size
    expect(isinstance(size, int) and size > 0, f"vocab_size {size!r}", "a positive number")
    expect(
        isinstance(getattr(made, "config", None), lab.subject.config_class()),
        f"config is {getattr(made, 'config', None)!r}",
        "the config it was trained with, or a completed one of the same class",
    )


@check(
    "tokenizer",
    cause="token_bytes returns text, or raises for special tokens.",
    mend="return the token's UTF-8 bytes, and b'' for special tokens.",
)
def every_id_has_bytes(lab: TokenizerLab) -> None:
    """Every id from 0 to ``vocab_size - 1`` stands for bytes."""
    for token in range(lab.tokenizer.vocab_size):
        found: object = lab.tokenizer.token_bytes(token)
        expect(isinstance(found, bytes), f"token_bytes({token}) is a {type(found).__name__}", "bytes")


@check(
    "tokenizer",
    cause="a list is indexed with -1, which is its last entry, or KeyError and IndexError are let through.",
    mend="raise TokenizerError unless 0 <= token < self.vocab_size.",
)
def unknown_ids_refused(lab: TokenizerLab) -> None:
    """An id outside the vocabulary raises ``TokenizerError``."""
    for token in (-1, lab.tokenizer.vocab_size):
        _raises_tokenizer_error(partial(lab.tokenizer.token_bytes, token), f"token_bytes({token})")


def _raises_tokenizer_error(call: Callable[[], Any], what: str) -> None:
    try:
        answer = call()
    except TokenizerError:
        return
    except Exception as error:  # noqa: BLE001 - which one is what is reported
        fail(f"{what} raised {type(error).__name__}: {error}", "TokenizerError")
    fail(f"{what} gave {str(answer)[:60]!r}", "TokenizerError")


@check(
    "tokenizer",
    cause="special tokens counted beside vocab_size, or numpy integers.",
    mend="count special tokens in vocab_size, and return a list of int.",
)
def ids_in_range(lab: TokenizerLab) -> None:
    """``encode`` gives a list of whole numbers below ``vocab_size``."""
    for text in lab.texts:
        ids: object = lab.tokenizer.encode(text)
        if not isinstance(ids, list):
            fail(f"encode gave a {type(ids).__name__}", "a list of int")
        wrong = [token for token in ids if type(token) is not int or not 0 <= token < lab.tokenizer.vocab_size]
        expect(not wrong, f"encode({text!r}) holds {wrong[:3]}", f"int from 0 to {lab.tokenizer.vocab_size - 1}")


@check(
    "tokenizer",
    cause="a start, end or space token that is put into every text.",
    mend="return [] for the empty text; heads add special tokens themselves.",
    needs=("ids_in_range",),
)
def empty_text(lab: TokenizerLab) -> None:
    """The empty text is no tokens, and no tokens are the empty text."""
    ids, text = lab.tokenizer.encode(""), lab.tokenizer.decode([])
    expect(ids == [], f"encode('') gives {ids}", "[]")
    expect(text == "", f"decode([]) gives {text!r}", "''")


@check(
    "tokenizer",
    cause="a vocabulary that grows while encoding, or an order taken from a set.",
    mend="fix the vocabulary in train; sort whatever comes out of a set.",
    needs=("ids_in_range",),
)
def encoding_repeats(lab: TokenizerLab) -> None:
    """Encoding again, or training again, gives the same ids, and the vocabulary keeps its size."""
    size = lab.tokenizer.vocab_size
    for text in lab.texts:
        first, second = lab.tokenizer.encode(text), lab.tokenizer.encode(text)
        expect(first == second, f"encode({text!r}) gives {first[:6]} and then {second[:6]}", "the same ids")
    again = lab.train()
    expect(
        (again.vocab_size, lab.tokenizer.vocab_size) == (size, size),
        f"vocab_size {size}, then {lab.tokenizer.vocab_size}, and {again.vocab_size} after training again",
        "one size",
    )
    for text in lab.texts:
        expect(
            again.encode(text) == lab.tokenizer.encode(text), f"{text!r} differs after training again", "the same ids"
        )


@check(
    "tokenizer",
    cause="special tokens outside the vocabulary, two names for one id, or bytes such as b'<eos>' for one of them.",
    mend="give each its own id below vocab_size, and return b'' from token_bytes for it.",
    needs=("every_id_has_bytes",),
)
def special_tokens_silent(lab: TokenizerLab) -> None:
    """Special tokens have ids of their own and stand for no text."""
    special = dict(lab.tokenizer.special_tokens)
    for name, token in special.items():
        expect(isinstance(name, str) and bool(name), f"a special token named {name!r}", "names that are text")
        expect(0 <= token < lab.tokenizer.vocab_size, f"{name!r} has the id {token}", "an id of the vocabulary")
        found = lab.tokenizer.token_bytes(token)
        expect(found == b"", f"{name!r} stands for {found!r}", "b''")
    expect(len(set(special.values())) == len(special), f"ids {special}", "each its own")


@check(
    "tokenizer",
    cause="encode adds start or end tokens by itself.",
    mend="leave special tokens other than unk out of encode; heads add them.",
    needs=("special_tokens_silent", "ids_in_range"),
)
def text_gives_no_special_tokens(lab: TokenizerLab) -> None:
    """No special token but ``unk`` comes from encoding text."""
    for text in lab.texts:
        ids = set(lab.tokenizer.encode(text))
        found = [name for name, token in lab.tokenizer.special_tokens.items() if name != "unk" and token in ids]
        expect(not found, f"encode({text!r}) holds {', '.join(found)}", "ids of text only")


@check(
    "tokenizer",
    cause="each token is decoded as UTF-8 by itself.",
    mend="return bytes from token_bytes and leave decoding to TextDecoder, which holds half a character back.",
    needs=("every_id_has_bytes", "ids_in_range"),
)
def no_half_characters(lab: TokenizerLab) -> None:
    """The incremental decoder never gives half a character of a valid text."""
    for text in lab.texts:
        decoder = lab.tokenizer.decoder()
        for token in lab.tokenizer.encode(text):
            said = decoder.push(token)
            expect("\ufffd" not in said, f"a piece {said!r} while decoding {text!r}", "whole characters")


@check(
    "tokenizer",
    cause="decode does something to the whole text (strip, replace, join with spaces) that the decoder does not.",
    mend="leave decode to the base class, which runs the decoder.",
    needs=("no_half_characters",),
)
def decoder_equals_decode(lab: TokenizerLab) -> None:
    """Decoding id by id gives what decoding together gives, for texts and for any ids."""
    draw = random.Random(0)
    size = lab.tokenizer.vocab_size
    runs = [lab.tokenizer.encode(text) for text in lab.texts]
    runs += [[draw.randrange(size) for _ in range(12)] for _ in range(20)]
    for ids in runs:
        decoder = lab.tokenizer.decoder()
        parts = "".join(decoder.push(token) for token in ids) + decoder.finish()
        whole = lab.tokenizer.decode(ids)
        expect(parts == whole, f"ids {ids[:8]}… give {parts!r} one by one and {whole!r} together", "the same text")


@check(
    "tokenizer",
    cause="the decoder remembers something beside the bytes that pending gives.",
    mend="override pending, getter and setter, so that it holds all of it as bytes.",
    needs=("decoder_equals_decode",),
)
def decoder_resumes(lab: TokenizerLab) -> None:
    """A new decoder given the ``pending`` of another one goes on exactly as that would."""
    for text in lab.texts:
        decoder, parts = lab.tokenizer.decoder(), []
        ids = lab.tokenizer.encode(text)
        for token in ids:
            fresh = lab.tokenizer.decoder()
            fresh.pending = decoder.pending
            decoder = fresh
            parts.append(decoder.push(token))
        got, want = "".join(parts) + decoder.finish(), lab.tokenizer.decode(ids)
        expect(got == want, f"{got!r}, interrupted after every id", f"{want!r}")


@check(
    "tokenizer",
    cause="normalisation, stripped or joined white space, or a text prepared by the config.",
    mend="keep every character, or set LOSSLESS = False on the class (or as a property of the instance).",
    needs=("decoder_equals_decode",),
)
def lossless(lab: TokenizerLab) -> str | None:
    """A text whose ids hold no ``unk`` decodes to itself; with ``LOSSLESS = True`` any text does."""
    if lab.lossless is False:
        inapplicable("it declares LOSSLESS = False")
    unknown = lab.tokenizer.special_tokens.get("unk")
    texts = (*lab.texts, UNSEEN) if lab.lossless else lab.texts
    tried = 0
    for text in texts:
        ids = lab.tokenizer.encode(text)
        if unknown in ids and not lab.lossless:
            continue
        tried += 1
        back = lab.tokenizer.decode(ids)
        expect(back == text, f"{text!r} came back as {back!r}", "the text itself")
    return None if tried == len(texts) else f"{len(texts) - tried} of {len(texts)} texts hold unknown tokens"


@check(
    "tokenizer",
    cause="characters outside the vocabulary are dropped, or KeyError is let through.",
    mend="raise TokenizerError, which says which character it was, or encode it as unk or as bytes.",
    needs=("decoder_equals_decode",),
)
def unseen_text_accounted_for(lab: TokenizerLab) -> None:
    """Text that was not trained on is kept, becomes ``unk``, or raises ``TokenizerError``."""
    try:
        ids = lab.tokenizer.encode(UNSEEN)
    except TokenizerError:
        return
    except Exception as error:  # noqa: BLE001 - which one is what is reported
        fail(f"encode({UNSEEN!r}) raised {type(error).__name__}: {error}", "TokenizerError")
    if lab.lossless is False or lab.tokenizer.special_tokens.get("unk") in ids:
        return
    lost = [c for c in UNSEEN if c not in lab.tokenizer.decode(ids)]
    expect(not lost, f"{''.join(lost)!r} vanished without a trace", "ids that decode to it, unk, or TokenizerError")


@check(
    "tokenizer",
    cause="text.encode() lets UnicodeEncodeError through, or errors='replace' or 'ignore' hides it.",
    mend="call self.check_text(text) first.",
    needs=("ids_in_range",),
)
def lone_surrogates_refused(lab: TokenizerLab) -> None:
    """A lone surrogate, which is not text, raises ``TokenizerError``."""
    _raises_tokenizer_error(partial(lab.tokenizer.encode, "a\ud800b"), "encode of the lone surrogate U+D800")


@check(
    "tokenizer",
    cause="something learned that save leaves out, or files outside the folder.",
    mend="write all that encode and decode use into the folder that save is given.",
    needs=("encoding_repeats",),
)
def saves_and_loads(lab: TokenizerLab) -> None:
    """What ``save`` wrote, ``load`` reads, with the config as a checkpoint keeps it: the same ids and texts."""
    with tempfile.TemporaryDirectory() as first:
        lab.tokenizer.save(Path(first))
        config = type(lab.tokenizer.config).model_validate_json(lab.tokenizer.config.model_dump_json())
        loaded = lab.implementation.load(Path(first), config)
    expect(isinstance(loaded, Tokenizer), f"load returned a {type(loaded).__name__}", "a Tokenizer")
    expect(
        loaded.vocab_size == lab.tokenizer.vocab_size,
        f"vocab_size {loaded.vocab_size} after loading",
        f"{lab.tokenizer.vocab_size}",
    )
    expect(dict(loaded.special_tokens) == dict(lab.tokenizer.special_tokens), "other special tokens", "the same ones")
    for text in lab.texts:
        ids = lab.tokenizer.encode(text)
        expect(loaded.encode(text) == ids, f"{text!r} has other ids after loading", "the same ids")
        expect(loaded.decode(ids) == lab.tokenizer.decode(ids), f"{text!r} decodes otherwise", "the same text")


@check(
    "tokenizer",
    cause="pickle, torch.save or joblib in save.",
    mend="write JSON, text or safetensors.",
    needs=("saves_and_loads",),
)
def nothing_pickled(lab: TokenizerLab) -> None:
    """No file that ``save`` writes is a pickle."""
    with tempfile.TemporaryDirectory() as place:
        lab.tokenizer.save(Path(place))
        for path in sorted(Path(place).rglob("*")):
            if path.is_file():
                start = path.read_bytes()[:4]
                bad = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
                expect(
                    not bad and start != b"PK\x03\x04", f"{path.name} is a pickle or an archive of one", "JSON or text"
                )


@check(
    "tokenizer",
    cause="a file that cannot be read is let through as OSError, KeyError or ValueError.",
    mend="raise CheckpointError, which says which file it was and what to do.",
    needs=("saves_and_loads",),
)
def damaged_files_refused(lab: TokenizerLab) -> None:
    """Loading files that are missing or cut short raises a ``SeqdemoError``, where there are files at all."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lab.tokenizer.save(folder)
        paths = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 1]
        if not paths:
            inapplicable("it saves no files")
        largest = max(paths, key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
        _refuses(lab, folder, f"{largest.name} cut in half")
        largest.unlink()
        _refuses(lab, folder, f"{largest.name} missing")


def _refuses(lab: TokenizerLab, folder: Path, what: str) -> None:
    try:
        lab.implementation.load(folder, lab.tokenizer.config)
    except SeqdemoError:
        return
    except Exception as error:  # noqa: BLE001 - which one is what is reported
        fail(f"{what}: load raised {type(error).__name__}: {error}", "CheckpointError")
    fail(f"{what}: load gave a tokenizer", "CheckpointError")


@check(
    "tokenizer",
    cause="a buffer on the tokenizer that encode fills.",
    mend="build results in local variables.",
    needs=("encoding_repeats",),
)
def two_threads(lab: TokenizerLab) -> None:
    """Two threads that encode with one tokenizer at once get what each gets alone."""
    long = ["".join(lab.texts) * 10, "".join(reversed(lab.texts)) * 10]
    want = [lab.tokenizer.encode(text) for text in long]
    first, second = (partial(lab.tokenizer.encode, text) for text in long)
    for answers, ids in zip(side_by_side(first, second, times=3), want, strict=True):
        wrong = [answer for answer in answers if answer != ids]
        expect(not wrong, f"{len(wrong)} of {len(answers)} encodings differ beside another thread", "the same ids")
