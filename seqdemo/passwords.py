"""Names and salted hashes of passwords, in a file that only its owner reads."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ConfigError, UnknownNameError
from .files import write_atomic

__all__ = ["SHORTEST", "Login", "Passwords"]

SHORTEST = 8
"""Characters of a password."""

_NAME = re.compile(r"[\w.@+-]{1,64}")
_COST = 2**15
_MEMORY = 64 * 2**20
_PENALTY = 1.0

Hex = Annotated[str, Field(pattern="^([0-9a-f]{2}){16,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Login(_Strict):
    """One person: the hash is scrypt's (RFC 7914) of the password with the salt.

    Attributes:
        n, r, p: scrypt's cost; 32 MiB and some 100 ms as it stands.
        admin: whether what changes the server, or tells of its inside, is for this one.
    """

    salt: Hex
    hash: Hex
    n: Annotated[int, Field(ge=2**10, le=2**15)]
    r: Annotated[int, Field(ge=1, le=8)] = 8
    p: Annotated[int, Field(ge=1, le=4)] = 1
    admin: bool = False

    @classmethod
    def made(cls, password: str, admin: bool = False) -> Login:
        """With a new salt."""
        salt = secrets.token_hex(16)
        blank = cls(salt=salt, hash="00" * 32, n=_COST, admin=admin)
        return blank.model_copy(update={"hash": blank._digest(password)})

    def fits(self, password: str) -> bool:
        """Whether it is the password. Takes as long whatever is wrong with it."""
        return hmac.compare_digest(self._digest(password), self.hash)

    def _digest(self, password: str) -> str:
        raw = password.encode("utf-8", "surrogatepass")
        salt = bytes.fromhex(self.salt)
        return hashlib.scrypt(raw, salt=salt, n=self.n, r=self.r, p=self.p, maxmem=_MEMORY, dklen=32).hex()


class _File(_Strict):
    format: Literal[1] = 1
    logins: dict[str, Login] = {}


class Passwords:
    """Who may log in. The file is read each time it is asked, so that a change needs no restart.

    Args:
        path: the file; :meth:`add` makes it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._nobody = Login.made(secrets.token_hex(8))
        self._checks = asyncio.Semaphore(2)

    def logins(self) -> Mapping[str, Login]:
        """Everybody, by name.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        try:
            return _File.model_validate_json(self.path.read_bytes()).logins
        except OSError as error:
            raise ConfigError(
                f"The passwords in {self.path} cannot be read: {error.strerror or error}. "
                f"Make the file: seqdemo passwords add NAME --file {self.path}."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(
                f"{self.path} is not a file of passwords: {where}: {first['msg'].lower()}. Make another one: "
                "seqdemo passwords add NAME --file FILE."
            ) from error

    def add(self, name: str, password: str, admin: bool = False) -> bool:
        """Let somebody in, or change the password and the rights of one who is; whether the name is new.

        Raises:
            ConfigError: the name or the password cannot be used, or the file is damaged.
            SeqdemoError: the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is no login name: use 1 to 64 letters, digits and any of . _ @ + -")
        if len(password) < SHORTEST:
            raise ConfigError(f"A password has at least {SHORTEST} characters; this one has {len(password)}.")
        known = dict(self.logins()) if self.path.exists() else {}
        new = name not in known
        self._write({**known, name: Login.made(password, admin)})
        return new

    def remove(self, name: str) -> None:
        """Let somebody in no longer. Who is in stays until the page is served again, without an admin's rights.

        Raises:
            UnknownNameError: nobody has that name.
            ConfigError, SeqdemoError: as :meth:`add`.
        """
        known = dict(self.logins())
        if name not in known:
            raise UnknownNameError("login", name, known)
        del known[name]
        self._write(known)

    def admin(self, name: str) -> bool:
        """Whether a name is an admin's, as the file has it now."""
        try:
            login = self.logins().get(name)
        except ConfigError:
            return False
        return login is not None and login.admin

    async def check(self, name: str, password: str) -> bool:
        """Whether somebody may log in. A wrong guess waits for a second, and few are looked at together.

        Takes as long for a name that nobody has. A file that cannot be read lets nobody in.
        """
        try:
            login = self.logins().get(name)
        except ConfigError:
            login = None
        async with self._checks:
            fits = await asyncio.to_thread((login or self._nobody).fits, password) and login is not None
        if not fits:
            await asyncio.sleep(_PENALTY)
        return fits

    def _write(self, logins: Mapping[str, Login]) -> None:
        content = _File(logins=dict(sorted(logins.items())))
        write_atomic(self.path, json.dumps(content.model_dump(), indent=2, ensure_ascii=False) + "\n", mode=0o600)
