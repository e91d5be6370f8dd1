"""Look up the locked packages among known vulnerabilities, as far as a database of these can be reached.

    python -m scripts.audit

The exit code is 1 for a vulnerability; without a database a line says so, and the exit code is 0.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements-dev.lock"
COMMAND = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
"""The lock pins every package, so that nothing need be resolved or installed."""

UNREACHABLE = ("requests.exceptions", "ConnectionError", "ServiceError")
"""What pip-audit's traceback or message names if no database answers."""


def main(arguments: list[str]) -> int:
    """Audit the lock, with further options for pip-audit, and return the exit code."""
    ended = subprocess.run([*COMMAND, f"--requirement={LOCK}", *arguments], capture_output=True, text=True, check=False)
    if not ended.stdout.startswith("{"):
        if not any(sign in ended.stderr for sign in UNREACHABLE):
            print(ended.stdout, ended.stderr, file=sys.stderr)
            return ended.returncode or 1
        print(f"the packages were not audited: {ended.stderr.splitlines()[-1]}")
        return 0
    packages = json.loads(ended.stdout)["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    print(f"{len(known)} of {len(packages)} packages audited; the database does not know the others")
    found = [(package, fault) for package in known for fault in package["vulns"]]
    for package, fault in found:
        fixed = ", ".join(fault["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {fault['id']}, fixed in {fixed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
