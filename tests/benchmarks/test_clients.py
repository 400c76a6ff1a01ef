"""The benchmark of many clients speaks the page's protocol."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path


def free_ports() -> int:
    """The first of two ports that nobody listens at."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        with socket.socket() as other:
            if port < 65_535 and other.connect_ex(("127.0.0.1", port + 1)):
                return port


def test_every_client_gets_its_reply_from_both_servers(tmp_path: Path) -> None:
    """Two clients, one after the other where the limit is gradio's: the second waits for the whole of the first."""
    script, figures = Path(__file__).with_name("clients.py"), tmp_path / "figures.json"
    small = ["--clients", "2", "--tokens", "40", "--repeats", "1", "--port", str(free_ports()), "--json", str(figures)]
    done = subprocess.run([sys.executable, str(script), *small], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "as it ships" in done.stdout
    found = json.loads(figures.read_text("utf-8"))
    assert set(found) == {"as it ships", "gradio's default limit"}
    for ((rate, firsts),) in found.values():
        assert rate > 0.0
        assert len(firsts) == 2
        assert min(firsts) > 0.0
