"""The folder of a run: the checkpoint at its top, and in ``training/`` what resuming needs.

::

    DIR/seqdemo.json, model.safetensors, tokenizer/, README.md    the best checkpoint so far
    DIR/training/run.json                                         what was asked for, and how far it is
    DIR/training/metrics.jsonl                                    one line for each measurement
    DIR/training/tokenizers/ROLE/                                 trained once, read when resuming
    DIR/training/lock                                             held while a process trains
    DIR/training/state-00001200/                                  the newest training state; gone when finished
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from seqdemo import checkpoint
from seqdemo.errors import CheckpointError, ConfigError
from seqdemo.files import append_line, recover_folder, write_atomic, write_folder
from seqdemo.parts import Parts

__all__ = ["RunFolder"]


class RunFolder:
    """One run on disk. Only the main process writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.training = folder / "training"
        self.metrics = self.training / "metrics.jsonl"
        self._run = self.training / "run.json"
        self.tokenizers = self.training / "tokenizers"
        self.staging = folder.with_name(f".{folder.name}.tokenizers")
        self._lock_file = self.training / "lock"
        self._lock: int | None = None

    def found(self) -> dict[str, Any] | None:
        """What ``run.json`` says; None where no run was begun.

        Raises:
            CheckpointError: it is damaged.
        """
        if not self._run.is_file():
            return None
        try:
            run = json.loads(self._run.read_text("utf-8"))
            return {"status": run["status"], "choices": run["choices"], **run}
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{self._run} is damaged ({error}). Start again with --overwrite.") from error

    def recover(self) -> None:
        """Put right what a process left that was killed in the middle of something."""
        recover_folder(self.folder)
        self.unstage()
        for path in self.training.glob(".*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def check_free(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            ConfigError: it does.
        """
        if self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
            raise ConfigError(f"{self.folder} exists and holds no run of seqdemo. Name another folder with --out.")

    def check_replaceable(self) -> None:
        """Refuse a folder that holds something else than a run or a checkpoint.

        Raises:
            ConfigError: it does.
        """
        if not (self._run.is_file() or (self.folder / "seqdemo.json").is_file()):
            self.check_free()

    def begin(self, run: Mapping[str, Any]) -> None:
        """Make the folder in one move, with ``run.json`` and the staged tokenizers; what was there before is gone."""
        with write_folder(self.folder) as work:
            place = work / self.training.name
            shutil.copytree(self.staging, place / self.tokenizers.name)
            (place / self._run.name).write_text(_json(run), "utf-8")
            (place / self._lock_file.name).touch()
        self.unstage()
        self.unlock()
        self.lock()

    def unstage(self) -> None:
        """Remove tokenizers of a run that did not begin."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def lock(self) -> None:
        """Keep other processes from training into this folder, until ``unlock`` or the end of the process.

        Raises:
            ConfigError: another one is doing so.
        """
        if sys.platform == "win32" or not self.training.is_dir() or self._lock is not None:
            return
        import fcntl

        handle = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise ConfigError(
                f"Another process is training in {self.folder}. Wait for it, stop it, or name another --out."
            ) from error
        except OSError:  # a file system without locks
            os.close(handle)
            return
        self._lock = handle

    def unlock(self) -> None:
        """Let others."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def mark(self, status: str, **more: Any) -> None:
        """Change the run's status: ``running``, ``finished`` or ``diverged``."""
        write_atomic(self._run, _json({**(self.found() or {}), "status": status, **more}))

    # --- training state -----------------------------------------------------------------------------------------

    def states(self) -> list[Path]:
        """Training states, newest first."""
        return sorted(self.training.glob("state-*"), reverse=True)

    def write_state(self, step: int, files: Mapping[str, bytes]) -> None:
        """Write a new state, then remove the older ones; at every moment there is a whole one."""
        target = self.training / f"state-{step:08d}"
        with write_folder(target) as work:
            for name, data in files.items():
                (work / name).write_bytes(data)
        for path in self.states():
            if path != target:
                shutil.rmtree(path, ignore_errors=True)

    def drop_states(self) -> None:
        """Remove what only resuming needs."""
        for path in [*self.states(), self.tokenizers]:
            shutil.rmtree(path, ignore_errors=True)
        self._lock_file.unlink(missing_ok=True)

    # --- metrics ------------------------------------------------------------------------------------------------

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line."""
        append_line(self.metrics, json.dumps(record, ensure_ascii=False))

    def cut_log(self, step: int) -> None:
        """Drop lines of steps after ``step``, which a resumed run writes again, and half a line at the end."""
        if not self.metrics.is_file():
            return
        kept = []
        for line in self.metrics.read_text("utf-8", "replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue
        write_atomic(self.metrics, "".join(f"{line}\n" for line in kept))

    # --- checkpoint ---------------------------------------------------------------------------------------------

    def publish(
        self,
        parts: Parts,
        *,
        card: str,
        dtype: str,
        about: Mapping[str, Any],
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Put a checkpoint at the folder's top in one move; everything else in the folder stays.

        Raises:
            SeqdemoError: the disk is full; the checkpoint from before is still there.
        """
        with write_folder(self.folder) as work:
            made = work / ".checkpoint"
            checkpoint.save(parts, made, card=card, dtype=dtype, about=about, weights=weights)
            names = {path.name for path in made.iterdir()}
            for path in made.iterdir():
                os.replace(path, work / path.name)
            made.rmdir()
            stale = {"tokenizer", "tokenizers"} | names
            for path in self.folder.iterdir() if self.folder.is_dir() else ():
                if path.name not in stale:
                    _keep(path, work / path.name)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _keep(path: Path, target: Path) -> None:
    """The same file or folder in another place, without copying its content where links are possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, target, copy_function=_link, symlinks=True)
    else:
        _link(path, target)


def _link(path: str | Path, target: str | Path) -> None:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, target, follow_symlinks=False)
