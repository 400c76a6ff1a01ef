"""Writing to disk so that a reader, a full disk or a power cut never meets half a file."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SeqdemoError

__all__ = ["append_line", "home", "recover_folder", "write_atomic", "write_folder"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def home() -> Path:
    """Where user data lives: ``SEQDEMO_HOME``, or the platform's user-data folder. It may not exist yet."""
    named = os.environ.get("SEQDEMO_HOME")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("seqdemo", appauthor=False)


def _explain(target: Path, error: OSError) -> SeqdemoError:
    why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else (error.strerror or str(error))
    return SeqdemoError(f"Cannot write {target}: {why}. Nothing was changed there.")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    """A name nobody has in the same folder. Not made by ``tempfile``, whose files only their owner may read."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def write_atomic(path: Path, data: bytes | str, mode: int = 0o666) -> None:
    """Write a whole file: afterwards it holds either all of ``data`` or what it held before.

    Args:
        mode: permissions of the file, less what the umask takes away.

    Raises:
        SeqdemoError: the disk is full, or the place cannot be written.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise _explain(path, error) from error
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str) -> None:
    """Append a line in one write; where only part of it fits on the disk, none of it stays.

    Raises:
        SeqdemoError: the disk is full, or the place cannot be written.
    """
    data = f"{line}\n".encode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(handle).st_size
            if os.write(handle, data) < len(data):
                os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        raise _explain(path, error) from error


@contextmanager
def write_folder(target: Path) -> Iterator[Path]:
    """Fill a new folder, then put it in the target's place; an error inside leaves the target as it was.

    Yields:
        the temporary folder to write into.

    Raises:
        SeqdemoError: the disk is full, or the place cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = _beside(target)
        work.mkdir()
    except OSError as error:
        raise _explain(target, error) from error
    try:
        yield work
        for path in work.rglob("*"):
            if path.is_file():
                _sync(path)
        if not target.exists():
            os.replace(work, target)
        elif not _exchange(work, target):
            old = work.with_name(f"{work.name}.old")
            os.replace(target, old)  # for a moment there is no target; recover_folder knows where it went
            try:
                os.replace(work, target)
            except OSError:
                os.replace(old, target)
                raise
            shutil.rmtree(old, ignore_errors=True)
        _sync(target.parent)
    except OSError as error:
        raise _explain(target, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step where the system can (Linux's renameat2); whether it did."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    swapped: int = rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE)
    return swapped == 0


def recover_folder(target: Path) -> None:
    """After a process was killed inside ``write_folder``: put the target back and remove what was half-written.

    Only for a target that nobody is writing at the moment.
    """
    if not target.parent.is_dir():
        return
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}(\.old)?")
    for path in [path for path in target.parent.iterdir() if ours.fullmatch(path.name) and path.is_dir()]:
        if path.suffix == ".old" and not target.exists():
            os.replace(path, target)
        else:
            shutil.rmtree(path, ignore_errors=True)
