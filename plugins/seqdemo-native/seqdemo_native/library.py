"""The compiled library: loaded once, its functions with their types, and which level of it runs here."""

from __future__ import annotations

import os
from ctypes import (
    CDLL,
    POINTER,
    PyDLL,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_uint64,
    c_void_p,
)
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqdemo.errors import ConfigError, PluginError

__all__ = ["LEVELS", "Draw", "Drawn", "Floats", "Memory", "Rules", "failure", "level", "levels", "library", "pointer"]

Floats = NDArray[np.float32]

LEVELS = ("avx512", "avx2", "plain")
"""Best first: AVX-512 with VNNI, AVX2 with FMA, plain C++."""

LEVEL_VARIABLE = "SEQDEMO_NATIVE_LEVEL"

_FILE = Path(__file__).with_name("_native.so")

_SHORT = ("take",)
"""Functions that only copy, and keep the interpreter meanwhile: who lets go of it for a microsecond may get it back
from a busy thread after five milliseconds."""


class Rules(Structure):
    """How a row draws, as ``sampler.h`` has it."""

    _fields_ = [
        ("temperature", c_double),
        ("top_p", c_double),
        ("min_p", c_double),
        ("penalty", c_double),
        ("top_k", c_int32),
        ("window", c_int32),
        ("alternatives", c_int32),
    ]


class Draw(Structure):
    """One row of a run, as ``stepper.h`` has it."""

    _fields_ = [
        ("slot", c_int32),
        ("rules", Rules),
        ("seed", c_uint64),
        ("position", c_uint64),
        ("recent", c_void_p),
        ("recent_count", c_int32),
    ]


class Drawn(Structure):
    """Where a run writes, as ``stepper.h`` has it."""

    _fields_ = [
        ("ids", c_void_p),
        ("logprobs", c_void_p),
        ("entropies", c_void_p),
        ("room", c_int32),
        ("reported", c_void_p),
        ("alternatives", c_void_p),
        ("raw", c_void_p),
        ("ruled", c_void_p),
    ]


class Memory(Structure):
    """What sources were made into, as ``translator.h`` has it."""

    _fields_ = [("memory", c_void_p), ("keys", c_void_p), ("lengths", c_void_p), ("size", c_int32)]


_P, _I = c_void_p, c_int
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "error": (c_char_p, ()),
    "supports": (_I, (c_char_p,)),
    "model": (_P, (c_char_p, _I, _I, _I, _I, _P, _I)),
    "product": (_I, (_P, c_char, _P, _P, _I, _I)),
    "model_free": (None, (_P,)),
    "stepper": (_P, (_P, _I, _I)),
    "stepper_free": (None, (_P,)),
    "put": (None, (_P, _I, _P)),
    "take": (None, (_P, _I, _P)),
    "step": (None, (_P, _P, _P, _I, _P)),
    "read": (None, (_P, _I, _P, _I, _P)),
    "run": (_I, (_P, POINTER(Draw), _I, _I, _P, _I, _P, _I, _P, POINTER(Drawn))),
    "rewind": (_I, (_P, _I, _I)),
    "translator": (_P, (c_char_p, _I, _I, _P, _I, _P, _I, _P, _I)),
    "translator_free": (None, (_P,)),
    "translator_network": (_I, (_P, c_char, _I)),
    "translator_product": (_I, (_P, c_char, _P, _P, _I, _I)),
    "encode": (_I, (_P, _P, _P, _I, _I, _P, _P)),
    "advance": (_I, (_P, _P, _P, _I, POINTER(Memory), _P, _P, _P, _P, _P)),
    "likeliest": (_I, (_P, _P, c_int64, _I, _P, _I, _I, _P, _P)),
    "try_product": (_I, (c_char_p, _I, _P, _P, _I, _I, _P, _I, _P)),
    "try_quantise": (c_float, (c_char_p, _P, _I, _P)),
    "try_tanh": (None, (c_char_p, _P, _I, _P)),
    "try_read": (c_int32, (c_char_p, _P, c_int64, _I, _I)),
    "try_uniform": (c_double, (c_uint64, c_uint64)),
}


@cache
def library() -> CDLL:
    """The library; its functions are called without their prefix: ``library().step(...)``.

    Raises:
        PluginError: it was not built, or this system cannot load it.
    """
    try:
        found, holding = CDLL(str(_FILE)), PyDLL(str(_FILE))
    except OSError as error:
        raise PluginError(
            f"seqdemo-native has no kernels for this machine ({error}). Install it again, on this machine."
        ) from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(holding if name in _SHORT else found, f"seqdemo_{name}")
        function.restype, function.argtypes = result, arguments
        setattr(found, name, function)
    return found


@cache
def levels() -> tuple[str, ...]:
    """Levels this processor can run, best first."""
    return tuple(one for one in LEVELS if library().supports(one.encode()))


def level() -> str:
    """The level in use: the best one, or what the variable ``SEQDEMO_NATIVE_LEVEL`` says.

    Raises:
        ConfigError: this processor cannot run that level.
    """
    asked = os.environ.get(LEVEL_VARIABLE, "")
    if not asked:
        return levels()[0]
    if asked not in levels():
        raise ConfigError(f"{LEVEL_VARIABLE} = {asked!r} cannot run here: use one of {', '.join(levels())}.")
    return asked


def failure() -> PluginError:
    """What went wrong in the call before."""
    return PluginError(f"seqdemo-native failed: {library().error().decode('utf-8', 'replace')}.")


def pointer(array: NDArray[Any]) -> int:
    """Where an array lies, which must be contiguous."""
    return int(array.ctypes.data)
