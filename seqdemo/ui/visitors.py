"""Who is at the page: a login name where there are logins, otherwise whoever holds a signed cookie."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from seqdemo.errors import StoreError
from seqdemo.passwords import Passwords

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Cookies", "Visitors", "secret"]

_KEY_BYTES = 32
_SECONDS = 400 * 24 * 3600
_SIGNED = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")


def secret(folder: Path) -> bytes:
    """The key that cookies are signed with; made where there is none, readable by its owner only.

    Raises:
        StoreError: it cannot be read or made.
    """
    path = folder / "page.key"
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"The key of the page, {path}, cannot be used: {error.strerror or error}. Change its permissions, or set "
            "SEQDEMO_HOME to another folder."
        ) from error
    if len(key) != _KEY_BYTES:
        raise StoreError(f"The key of the page, {path}, is damaged. Delete it: each browser is a new visitor then.")
    return key


def _make(path: Path) -> None:
    """Write a new key all at once, unless another process was faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


class Visitors:
    """Tells visitors apart, and says which of them may change the server and see its inside.

    Args:
        key: to sign with. Its digest is in the cookie's name, so that two servers on one machine, which share all
            cookies, leave each other's alone.
        passwords: who may log in; without them everybody may use the page.
        local: only this machine is served.
    """

    def __init__(self, key: bytes, passwords: Passwords | None = None, local: bool = True) -> None:
        self.passwords = passwords
        self._key = key
        self._local = local
        self.cookie = f"seqdemo-{hashlib.sha256(key).hexdigest()[:8]}"

    def issue(self) -> str:
        """The cookie of a new visitor."""
        return self._signed(secrets.token_hex(16))

    def valid(self, cookie: str) -> bool:
        """Whether a cookie was issued here."""
        found = _SIGNED.fullmatch(cookie)
        return found is not None and hmac.compare_digest(self._signed(found[1]), cookie)

    def of(self, request: gr.Request) -> str:
        """Whose request it is. A browser that keeps no cookies is someone else after each reload."""
        if request.username:
            return f"login:{request.username}"
        cookie = request.request.cookies.get(self.cookie, "") if request.request is not None else ""
        return f"cookie:{cookie.partition('.')[0]}" if self.valid(cookie) else f"page:{request.session_hash}"

    def admin(self, request: gr.Request) -> bool:
        """Whether whose request it is may add, load and unload models, scan for plugins, and read tracebacks.

        Where there are logins, whoever is an admin; where there are none, everybody, if only this machine is served.
        """
        if self.passwords is None:
            return self._local
        return bool(request.username) and self.passwords.admin(str(request.username))

    def _signed(self, name: str) -> str:
        return f"{name}.{hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()}"


class Cookies:
    """Gives each browser that opens a page its cookie, and renews it. ASGI middleware."""

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.append("set-cookie", self._header(scope))
                    headers.setdefault("cache-control", "private")
            await send(message)

        await self._app(scope, receive, stamped)

    def _header(self, scope: Scope) -> str:
        held = Request(scope).cookies.get(self._visitors.cookie, "")
        value = held if self._visitors.valid(held) else self._visitors.issue()
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        return f"{self._visitors.cookie}={value}; Path=/; Max-Age={_SECONDS}; HttpOnly; SameSite=Lax{secure}"
