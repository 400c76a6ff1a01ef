"""Compiles the kernels while the wheel is built: a shared library that knows nothing of Python's version.

Each level of the processor is a file with flags of its own; which of them runs is decided when the program starts.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "_native.so"

COMMON = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi"]
LEVEL = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mprefer-vector-width=512"]

FILES = {"plain": LEVEL, **{name: ["-O2"] for name in ("model", "pool", "sampler", "stepper", "translator", "api")}}
X86 = {"avx2": [*LEVEL, *AVX2], "avx512": [*LEVEL, *AVX512]}


class CustomBuildHook(BuildHookInterface[Any]):
    """Builds the library for a wheel, and in place for an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        self._folder = tempfile.TemporaryDirectory()
        made = build(root / "source", Path(self._folder.name))
        if version == "editable":
            shutil.copyfile(made, root / "seqdemo_native" / NAME)
        else:
            build_data["force_include"][str(made)] = f"seqdemo_native/{NAME}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.target_name == "wheel":
            self._folder.cleanup()


def build(source: Path, folder: Path) -> Path:
    """Compile and link.

    Raises:
        SystemExit: there is no compiler, or it failed.
    """
    compiler = _compiler()
    x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
    files = FILES | (X86 if x86 else {})
    common = [*COMMON, *(["-DWITH_X86"] if x86 else [])]

    def compiled(name: str) -> str:
        made = str(folder / f"{name}.o")
        _run([*compiler, *common, *files[name], "-c", str(source / f"{name}.cpp"), "-o", made])
        return made

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, files))
    library = folder / NAME
    _run([*compiler, "-shared", *objects, "-o", str(library), "-pthread"])
    return library


def _compiler() -> list[str]:
    asked = os.environ.get("CXX")
    for command in [shlex.split(asked)] if asked else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]):
            return command
    raise SystemExit(
        "seqdemo-native is compiled while it is installed, and no C++ compiler was found "
        f"({asked or 'c++, g++, clang++'}). Install one (Debian: apt install g++; macOS: xcode-select --install), "
        "or name one in CXX, and try again. seqdemo works without this plugin."
    )


def _run(command: list[str]) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"seqdemo-native could not be compiled: {shlex.join(command)}\n{found.stderr}")
