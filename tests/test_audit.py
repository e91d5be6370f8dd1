"""`make audit` finds what a database knows, and says so where there is none."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from scripts import audit

pytest.importorskip("pip_audit")  # an environment may be older than the lock

FAULT = {
    "id": "GHSA-0000",
    "summary": "made up",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "numpy", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "99.1"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    """A database in OSV's format that knows of a fault in NumPy."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"vulns": [FAULT]} if asked["package"]["name"] == "numpy" else {}
        body = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Be quiet."""


@pytest.fixture
def database() -> Iterator[str]:
    """Give the address of a database on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_known_fault_fails_the_audit(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named with the version that mends it."""
    assert audit.main(["--vulnerability-service=osv", f"--osv-url={database}"]) == 1
    (counts, line) = capsys.readouterr().out.splitlines()
    assert counts.endswith("packages audited; the database does not know the others")
    assert line.startswith("numpy ")
    assert line.endswith(": GHSA-0000, fixed in 99.1")


def test_without_a_database_the_audit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """In a line; it does not fail for that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert audit.main(["--vulnerability-service=osv", f"--osv-url={address}", "--timeout=2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("the packages were not audited: ")
    assert err == ""


def test_any_other_failure_fails_the_audit(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is taken for an audit that is none."""
    assert audit.main(["--no-such-option"]) == 2
    assert "--no-such-option" in capsys.readouterr().err
