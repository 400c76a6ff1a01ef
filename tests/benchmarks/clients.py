"""Sixteen people talk at once: the page as it ships, and with gradio's default limit, in one run.

    python tests/benchmarks/clients.py --clients 16 --tokens 400 --repeats 5

Two servers in processes of their own serve the page. One is as it ships; in the other an event that streams may run
once at a time, which is what gradio does where nobody says otherwise. Each client is a visitor with a session of its
own, who says something in the Chat tab, is shown the reply as it grows, and answers that it is on the screen, as the
page's script does; they speak gradio's protocol, for sixteen browsers would take the processor from the server.

Printed are tokens a second of all clients together, from the first question to the last reply's end, and seconds to
the first update of a reply that holds a token, the median and the longest. Servers take turns; a figure is the median
of its repetitions, with their spread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from seqdemo.devices import processor

SERIAL = re.compile(r'serial\\*":\s*(\d+)')
KEY = re.compile(r'key\\*":\s*\\*"([\w-]+)')
TOLD, PATIENCE = 4, 0.4
"""Updates, or seconds, after which the page's script says what it shows."""
TOKENS = re.compile(r'tokens\\*":\s*\[\\*"')


def serve(port: int, checkpoint: str, limit: int) -> None:
    """Serve the page; 0 is its own limit. Ends with its input."""
    from seqdemo.ui import events, memory
    from seqdemo.ui import serve as start
    from seqdemo.ui.source import Sdk

    class Only(Sdk):
        def checkpoints(self) -> list[Any]:
            return [record for record in super().checkpoints() if record.name == checkpoint]

    if limit:
        events._LISTENERS = limit
    start(port=port, source=Only())
    with memory.serving():  # as launch() does
        print("ready", flush=True)
        sys.stdin.read()


class Server:
    """The page in a process of its own."""

    def __init__(self, home: Path, port: int, checkpoint: str, limit: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, __file__, "--serve", str(port), "--checkpoint", checkpoint, "--limit", str(limit)]
        environment = {**os.environ, "SEQDEMO_HOME": str(home)}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise SystemExit("The server ended. What it wrote above says why.")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Page(NamedTuple):
    """What a script of the page would know of it: numbers of events and components."""

    ready: int
    opened: int
    send: int
    view: int
    inputs: list[int]  # of send: the checkpoint, the message, the options
    values: dict[int, Any]

    @classmethod
    def read(cls, config: dict[str, Any]) -> Page:
        """From gradio's description of the page."""
        by_name = {part["props"].get("elem_id"): part for part in config["components"]}
        values = {part["id"]: part["props"].get("value") for part in config["components"]}
        view, button = (by_name[name]["id"] for name in ("sd-conversation", "sd-send"))
        events = config["dependencies"]
        ready = next(one for one in events if [view, "ready"] in one["targets"])
        opened = next(one for one in events if one.get("trigger_after") == ready["id"])
        send = next(one for one in events if [button, "click"] in one["targets"])
        return cls(ready["id"], opened["id"], send["id"], view, send["inputs"], values)


class Client:
    """A visitor.

    Args:
        number: what tells it from others.
        checkpoint: what it talks with.
        limit: tokens of a reply.
    """

    def __init__(self, url: str, number: int, checkpoint: str, limit: int) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=600, trust_env=False)
        self._session = f"visitor{number}x{time.time_ns():x}"
        self._number, self._checkpoint, self._limit = number, checkpoint, limit
        self._key = ""
        self._acks: set[asyncio.Task[Any]] = set()

    async def arrive(self) -> None:
        """Load the page, and wait until there is a conversation."""
        await self._http.get("/")
        config = (await self._http.get("/config")).json()
        self._page = page = Page.read(config)
        width = {"key": "", "conversation": "", "left": False, "width": 1280}
        async for _ in self._event(page.ready, [], width):
            pass
        async for text in self._event(page.opened, [self._checkpoint]):
            if found := KEY.search(text):
                self._key = found[1]
        by_name = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self._values = {**page.values, by_name["sd-option-max-tokens"]: self._limit}
        assert self._key, "no conversation was opened"

    async def talk(self) -> float:
        """Say something and read the reply to its end: seconds to its first token."""
        page, began, first, updates = self._page, time.perf_counter(), 0.0, 0
        told = began
        said = [self._checkpoint, "I am visitor " + chr(ord("A") + self._number % 26)]
        held = said + [self._values[one] for one in page.inputs[2:]]
        async for text in self._event(page.send, held):
            if not first and TOKENS.search(text):
                first = time.perf_counter() - began
            found = SERIAL.search(text)
            updates += found is not None
            if found and (updates == TOLD or time.perf_counter() - told > PATIENCE):
                updates, told = 0, time.perf_counter()
                ack = asyncio.create_task(self._shown(int(found[1])))
                self._acks.add(ack)
                ack.add_done_callback(self._acks.discard)
        assert first, "a reply had no token"
        return first

    async def leave(self) -> None:
        await asyncio.gather(*self._acks)
        await self._http.aclose()

    async def _shown(self, serial: int) -> None:
        said = json.dumps({"key": self._key, "serial": serial})
        body = {"session_hash": self._session, "component_id": self._page.view, "fn_name": "shown", "data": said}
        (await self._http.post("/gradio_api/component_server", json=body)).raise_for_status()

    async def _event(self, number: int, data: list[Any], event: dict[str, Any] | None = None) -> AsyncIterator[str]:
        """Each update of an event, as it came."""
        body = {"fn_index": number, "session_hash": self._session, "data": data, "event_data": event}
        joined = await self._http.post("/gradio_api/queue/join", json=body)
        joined.raise_for_status()
        query = {"session_hash": self._session}
        async with self._http.stream("GET", "/gradio_api/queue/data", params=query) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "process_completed":
                    assert message["success"], message
                if message["msg"] in ("process_generating", "process_completed"):
                    yield line
                if message["msg"] in ("process_completed", "close_stream"):
                    return


class Round(NamedTuple):
    """Tokens a second of all clients, and seconds to each one's first token."""

    rate: float
    firsts: list[float]


async def together(url: str, checkpoint: str, clients: int, tokens: int) -> Round:
    """All clients ask at once."""
    visitors = [Client(url, number, checkpoint, tokens) for number in range(clients)]
    for visitor in visitors:
        await visitor.arrive()
    began = time.perf_counter()
    firsts = await asyncio.gather(*(visitor.talk() for visitor in visitors))
    taken = time.perf_counter() - began
    for visitor in visitors:
        await visitor.leave()
    return Round(clients * tokens / taken, list(firsts))


def measure(options: argparse.Namespace) -> dict[str, list[Round]]:
    """Rounds of both servers, by name."""
    found: dict[str, list[Round]] = {"as it ships": [], "gradio's default limit": []}
    with tempfile.TemporaryDirectory() as folder:
        servers: dict[str, Server] = {}
        try:
            for limit, name in enumerate(found):
                home = Path(folder) / str(limit)
                servers[name] = Server(home, options.port + limit, options.checkpoint, limit)
                asyncio.run(together(servers[name].url, options.checkpoint, 2, 64))  # it is loaded then
            for _ in range(options.repeats):
                for name, server in servers.items():
                    made = together(server.url, options.checkpoint, options.clients, options.tokens)
                    found[name].append(asyncio.run(made))
        finally:
            for server in servers.values():
                server.close()
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="shakespeare", help="what is talked with")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=400, help="of each reply")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--port", type=int, default=7871, help="and the next one")
    parser.add_argument("--json", type=Path, help="write every number here")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve is not None:
        serve(options.serve, options.checkpoint, options.limit)
        return {}
    packages = ", ".join(f"{name} {version(name)}" for name in ("seqdemo", "gradio", "torch"))
    print(f"{processor()}, {os.cpu_count()} CPUs; Python {platform.python_version()}, {packages}")
    found = measure(options)
    print(f"{options.clients} clients, {options.tokens} tokens each, {options.checkpoint}\n")
    print(f"{'':24}{'tokens/s':>10}{'range':>18}{'first token, s':>17}{'longest':>10}")
    rates = {name: statistics.median(one.rate for one in rounds) for name, rounds in found.items()}
    for name, rounds in found.items():
        each, firsts = [one.rate for one in rounds], [first for one in rounds for first in one.firsts]
        spread = f"{min(each):,.0f} - {max(each):,.0f}"
        print(f"{name:24}{rates[name]:10,.0f}{spread:>18}{statistics.median(firsts):17.2f}{max(firsts):10.2f}")
    ships, default = rates.values()
    print(f"\nas it ships: {ships / default:.1f} times the tokens a second of gradio's default limit")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return {"times": ships / default, **found}


if __name__ == "__main__":
    main()
