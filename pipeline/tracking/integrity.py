"""A manifest that shows whether the files of a folder have changed."""

import hashlib
import json
from pathlib import Path

from pipeline.files import write_text

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Record the SHA-256 of every file below `folder`, in place of what a copied manifest records."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    write_text(folder / MANIFEST, json.dumps(digests, indent=2))


def is_intact(folder: Path) -> bool:
    """Return whether every file of the manifest is there and unchanged."""
    return not damage(folder)


def damage(folder: Path) -> str:
    """Return which file is missing, unreadable or changed, the manifest included; "" if none is."""
    name = MANIFEST
    try:
        digests = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, digest in digests.items():
            if sha256(folder / name) != digest:
                return f"{name} has changed"
    except FileNotFoundError:
        return f"{name} is missing"
    except (OSError, ValueError):
        return f"{name} cannot be read"
    return ""
