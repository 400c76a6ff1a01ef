"""How quickly the page answers: a real server in a process of its own, a real browser, a model that ships.

    python tests/benchmarks/page.py --clicks 50 --replies 5 --seconds 4

Measured, each as median and 95th percentile:

- from the click on Send to the first token painted, with a warm model;
- updates painted a second while a reply streams;
- from the moment the server makes an update to the moment it is painted, in a new conversation and in one of
  ``--messages`` messages.

Then four browsers talk at once; one is closed and one refreshed in mid-reply. Each must see its own text only, the
refreshed one must find its reply, and what was made for the closed one must end.

Painted is the first task after the frame in which an update was drawn. The page's code is as it ships: the browser's
``JSON.parse`` is wrapped to see updates come in, and in the server ``Window.update`` to see them go out. Both clocks
are this machine's; what the browser's differs by is measured and taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

LONG = 100_000
NAMES = "ABCD"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

WATCH = """
window.painted = [];  // [serial, tokens, milliseconds]
window.clicked = [];
const now = () => performance.timeOrigin + performance.now();
const parse = JSON.parse;
JSON.parse = function (...given) {
  const value = parse.apply(this, given);
  if (value && value.serial && value.kind) {
    const tokens = value.kind === "more" ? value.tokens.length : 0;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.painted.push([value.serial, tokens, now()]);
      channel.port2.postMessage(0);
    });
  }
  return value;
};
document.addEventListener("click", (event) => {
  if (event.target.closest("#sd-send")) window.clicked.push(performance.timeOrigin + event.timeStamp);
}, true);
"""


# --- the server -------------------------------------------------------------------------------------------------------


def serve(port: int, checkpoint: str) -> None:
    """Serve the page; write down each update that is made, and answer each line of input with the engine's load."""
    from seqdemo.decoding import engine
    from seqdemo.ui import conversation, memory
    from seqdemo.ui import serve as start
    from seqdemo.ui.source import Sdk

    class Only(Sdk):
        def checkpoints(self) -> list[Any]:
            return [record for record in super().checkpoints() if record.name == checkpoint]

    made, plain = Path(os.environ["SEQDEMO_HOME"]) / "made.txt", conversation.Window.update
    file = made.open("a", buffering=1, encoding="utf-8")

    def update(self: Any, finished: bool, seen: int = 0) -> dict[str, Any]:
        found = plain(self, finished, seen)
        file.write(f"{found['serial']} {time.time() * 1000}\n")
        return found

    conversation.Window.update = update  # type: ignore[method-assign]
    start(port=port, source=Only())
    with memory.serving():  # as launch() does
        print("ready", flush=True)
        for _ in sys.stdin:
            print(engine("cpu").load.running, flush=True)


class Server:
    """The page in a process of its own.

    Args:
        home: where its data lies.
        threads: that torch may use.
        checkpoint: what can be talked with.
    """

    def __init__(self, home: Path, port: int, threads: int, checkpoint: str) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._made = home / "made.txt"
        environment = {**os.environ, "SEQDEMO_HOME": str(home), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--serve", str(port), "--checkpoint", checkpoint]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def running(self) -> int:
        """Requests that the engine works on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self._read())

    def made(self) -> dict[int, float]:
        """When each update was made, by its number, in milliseconds."""
        pairs = (line.split() for line in self._made.read_text("utf-8").splitlines())
        return {int(serial): float(at) for serial, at in pairs}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("The server ended. What it wrote above says why.")
        return line.strip()


# --- the browser ------------------------------------------------------------------------------------------------------


@contextmanager
def browser(playwright: Any, path: str) -> Iterator[Any]:
    """Chromium, in a process of its own."""
    found = playwright.chromium.launch(executable_path=path, args=FLAGS)
    try:
        yield found
    finally:
        found.close()


def opened(chromium: Any, url: str, cookies: Sequence[dict[str, str]] = (), conversation: str = "") -> Any:
    """A page that shows a conversation."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(120_000)
    if cookies:
        context.add_cookies(list(cookies))
    context.add_init_script(WATCH)
    if conversation:
        kept = f"sessionStorage.getItem('seqdemo.conversation') ?? '{conversation}'"
        context.add_init_script(f"sessionStorage.setItem('seqdemo.conversation', {kept})")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".sd-message" if conversation else ".sd-intro")
    page.wait_for_selector("#sd-status dd")
    return page


def say(page: Any, text: str, tokens: int) -> None:
    """Send a message."""
    box = page.locator("#sd-option-max-tokens input[type=number]").first
    box.fill(str(tokens))
    box.press("Tab")
    page.fill("#sd-input textarea", text)
    page.click("#sd-send")


def idle(page: Any) -> None:
    """Wait until nothing streams."""
    page.wait_for_function("!document.body.classList.contains('sd-busy')")


def stop(page: Any) -> None:
    """Stop the reply, without Playwright's wait for a page that paints to come to rest."""
    page.evaluate("document.querySelector('#sd-stop').click()")
    idle(page)


def offset(page: Any) -> float:
    """Milliseconds the browser's clock is ahead of this process's: by the quickest of several questions."""
    found = []
    for _ in range(30):
        before = time.time() * 1000
        there = page.evaluate("performance.timeOrigin + performance.now()")
        after = time.time() * 1000
        found.append((after - before, there - (before + after) / 2))
    return float(min(found)[1])


# --- what is measured -------------------------------------------------------------------------------------------------


def first_tokens(page: Any, clicks: int) -> list[float]:
    """Milliseconds from each click on Send to the first token painted."""
    found = []
    for number in range(clicks + 3):
        page.evaluate("[window.painted.length, window.clicked.length] = [0, 0]")
        say(page, "Speak, sir, I pray you.", 24)
        page.wait_for_function("window.painted.some(([, tokens]) => tokens)")
        idle(page)
        clicked = page.evaluate("window.clicked[0]")
        shown = page.evaluate("window.painted.find(([, tokens]) => tokens)[2]")
        if number >= 3:
            found.append(shown - clicked)
    return found


def streamed(page: Any, server: Server, replies: int, seconds: float) -> tuple[list[float], list[float]]:
    """Updates painted a second, of each reply; milliseconds from the making of each update to its paint."""
    rates, delays, ahead = [], [], offset(page)
    for number in range(replies):
        page.evaluate("window.painted.length = 0")
        if number:
            page.get_by_role("button", name="Regenerate").last.click()
        else:
            say(page, "Tell me all of it.", LONG)
        page.wait_for_function("window.painted.some(([, tokens]) => tokens)")
        time.sleep(seconds)
        painted = [one for one in page.evaluate("window.painted") if one[1]]
        stop(page)
        rates.append((len(painted) - 1) / (painted[-1][2] - painted[0][2]) * 1000)
        made = server.made()
        delays += [at - ahead - made[serial] for serial, _, at in painted if serial in made]
    return rates, delays


def four(playwright: Any, path: str, server: Server) -> dict[str, Any]:
    """Four browsers at once, one closed and one refreshed in mid-reply: what was seen."""
    with ExitStack() as stack:
        browsers = [stack.enter_context(browser(playwright, path)) for _ in range(4)]
        pages = [opened(one, server.url) for one in browsers]
        for number, page in enumerate(pages):
            say(page, f"I am the visitor {NAMES[number]}.", LONG)
        for page in pages:
            page.wait_for_selector(".sd-token", state="attached")
        before = server.running()
        pages[0].context.close()
        closed = time.perf_counter()
        pages[1].reload()
        pages[1].wait_for_selector("body.sd-busy .sd-token", state="attached")
        while server.running() > 3 and time.perf_counter() - closed < 60:
            time.sleep(0.1)
        freed, left = time.perf_counter() - closed, server.running()
        said = [page.locator(".sd-bubble").all_inner_texts() for page in pages[1:]]
        for page in pages[1:]:
            stop(page)
        return {
            "replies before": before,
            "replies after one was closed": left,
            "seconds until its work was freed": round(freed, 1),
            "replies at the end": server.running(),
            "each sees its own text only": said == [[f"I am the visitor {NAMES[number]}."] for number in (1, 2, 3)],
        }


# --- preparing and printing -------------------------------------------------------------------------------------------


def long_conversation(home: Path, checkpoint: str, messages: int) -> tuple[dict[str, str], str]:
    """The cookie of a visitor, and the id of a conversation of theirs that is so long."""
    os.environ["SEQDEMO_HOME"] = str(home)
    import seqdemo
    from seqdemo.ui.visitors import Visitors, secret

    visitors = Visitors(secret(home))
    cookie = visitors.issue()
    kept = seqdemo.conversations(f"cookie:{cookie.partition('.')[0]}")
    session = kept.begin(seqdemo.load(checkpoint, device="cpu"))
    for number in range(messages // 2):
        for _ in session.stream("Speak, sir, I pray you.", max_tokens=60, seed=number):
            pass
    return {"name": visitors.cookie, "value": cookie}, session.id


def percentile(values: Sequence[float], share: float) -> float:
    """By linear interpolation."""
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def row(name: str, values: Sequence[float], unit: str, low: bool = False) -> str:
    """Median, and the percentile that only one in twenty is worse than."""
    worst = percentile(values, 0.05 if low else 0.95)
    return f"{name:46} {statistics.median(values):9.1f} {worst:9.1f}  {unit} ({len(values)})"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as lists of numbers; the rows of the table are printed as they come."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        cookie, conversation = long_conversation(home, options.checkpoint, options.messages)
        server = Server(home, options.port, options.threads, options.checkpoint)
        stack.callback(server.close)
        playwright = stack.enter_context(sync_playwright())
        with browser(playwright, options.chromium) as chromium:
            print(f"chromium {chromium.version}")
            print(f"{'':46} {'median':>9} {'worst 5 %':>9}")
            count = f"{options.messages} messages"
            page = opened(chromium, server.url)
            clicks = first_tokens(page, options.clicks)
            print(row("click on Send to first token painted", clicks, "ms"))
            rates, delays = streamed(page, server, options.replies, options.seconds)
            print(row("updates painted, new conversation", rates, "a second", low=True))
            print(row("update made to painted, new conversation", delays, "ms"), flush=True)
            page.context.close()
            page = opened(chromium, server.url, [{**cookie, "url": server.url}], conversation)
            later, late = streamed(page, server, options.replies, options.seconds)
            print(row(f"updates painted, {count}", later, "a second", low=True))
            print(row(f"update made to painted, {count}", late, "ms"), flush=True)
        return {
            "click to first token": clicks,
            "updates a second": rates,
            "made to painted": delays,
            "updates a second, long": later,
            "made to painted, long": late,
            "four browsers": four(playwright, options.chromium, server),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="shakespeare", help="what is talked with")
    parser.add_argument("--messages", type=int, default=500, help="of the long conversation")
    parser.add_argument("--clicks", type=int, default=50)
    parser.add_argument("--replies", type=int, default=5, help="that stream, in each conversation")
    parser.add_argument("--seconds", type=float, default=4.0, help="that each of them streams")
    parser.add_argument("--threads", type=int, default=1, help="of the server's arithmetic")
    parser.add_argument("--port", type=int, default=7861)
    parser.add_argument("--chromium", default=next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), ""))
    parser.add_argument("--json", type=Path, help="write every number here")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve, options.checkpoint)
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("seqdemo", "gradio", "torch", "playwright"))
    print(f"Python {platform.python_version()}, {packages}; {os.cpu_count()} CPUs, {platform.machine()}")
    found = measure(options)
    for name, value in found["four browsers"].items():
        print(f"four browsers: {name:44} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
