"""Files are whole or absent; a manifest shows what has changed."""

from pathlib import Path

import pytest

from pipeline.files import write_text
from pipeline.tracking.integrity import MANIFEST, is_intact, write_manifest


def test_written_text_replaces_the_old_one(tmp_path: Path) -> None:
    """It is UTF-8, and missing folders are created."""
    path = tmp_path / "new" / "file.txt"
    for text in ("größer", "2"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A lone surrogate fails after the text before it was written; the old file stays whole."""
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "x" * 100_000 + "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("damage", ["none", "changed", "deleted", "no manifest", "half a manifest"])
def test_manifest_shows_damage(damage: str, tmp_path: Path) -> None:
    """It covers files at any depth and itself; files added later are ignored."""
    write_text(tmp_path / "a.txt", "a")
    write_text(tmp_path / "deep" / "b.txt", "b")
    write_manifest(tmp_path)
    deep, manifest = tmp_path / "deep" / "b.txt", tmp_path / MANIFEST
    match damage:
        case "changed":
            deep.write_text("B", encoding="utf-8")
        case "deleted":
            deep.unlink()
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(manifest.read_text(encoding="utf-8")[:20], encoding="utf-8")
    (tmp_path / "later.txt").write_text("later", encoding="utf-8")
    assert is_intact(tmp_path) is (damage == "none")
