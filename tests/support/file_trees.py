"""Write and read directories of a few files."""

from pathlib import Path


def write_files(directory: Path, files: dict[str, bytes]) -> Path:
    """Write files below a directory, and return the directory."""
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def read_files(directory: str | Path) -> dict[str, bytes]:
    """Return all files below a directory, hidden ones included."""
    root = Path(directory)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
