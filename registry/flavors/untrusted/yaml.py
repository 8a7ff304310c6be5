"""Read YAML as data, with limits, and write it as MLflow does.

Reading refuses explicit tags. It refuses text whose size, depth or expanded number of nodes passes a limit before it
constructs any value. Guarantees: `read_map` returns a map of plain values or raises an error that names the file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import ArtifactNotFoundError, InvalidModelError, InvalidParameterError

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 200_000


def read_map(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a map.

    Raises:
        ArtifactNotFoundError: there is no such file.
        InvalidModelError: the file is too large, not YAML, not a map, or holds tags.
    """
    import yaml

    text = _read_text(path)
    try:
        fault = _fault(yaml.parse(text, Loader=_loader()))
        if fault is None:
            value = yaml.load(text, Loader=_loader())  # noqa: S506  # the safe loader, in C where it is built
            if isinstance(value, dict) and all(isinstance(key, str) for key in value):
                return value
            fault = f"holds {type(value).__name__} instead of a map with text keys"
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        fault = f"is not YAML: {' '.join(str(error).split())[:300]}"
    raise InvalidModelError(
        f"The file {str(path)!r} {fault}. Save the model again, or restore the file as it was saved."
    )


def write_map(path: Path, value: Mapping[str, Any], *, sort_keys: bool = True) -> None:
    """Write a map in block style.

    Raises:
        InvalidParameterError: a value is not plain data.
    """
    path.write_text(dump_map(value, sort_keys=sort_keys), encoding="utf-8")


def dump_map(value: Mapping[str, Any], *, sort_keys: bool = True) -> str:
    """Return a map as YAML text in block style.

    Raises:
        InvalidParameterError: a value is not plain data.
    """
    import yaml

    try:
        return yaml.safe_dump(dict(value), default_flow_style=False, sort_keys=sort_keys, allow_unicode=True)
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidParameterError(
            f"Cannot be written as YAML: {reason}. Use text, numbers, lists and maps."
        ) from None


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _read_text(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ArtifactNotFoundError(f"There is no file {str(path)!r}.") from None
    except OSError as error:
        raise InvalidModelError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise InvalidModelError(f"The file {str(path)!r} is larger than {MAX_BYTES} bytes; it is no MLmodel file.")
    return data


def _fault(events: Iterator[Any]) -> str | None:
    """Return why these events must not be constructed, or None. An alias counts as large as the node it stands for."""
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            # While its node is open, an anchor has no size; an alias to it would be a cycle.
            if event.anchor not in sizes:
                return f"has an alias to the unknown or open anchor {event.anchor!r}"
            total += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            if (tag := getattr(event, "tag", None)) is not None:
                return f"holds the YAML tag {tag!r}, which is refused"
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, total - 1))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if total > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            return f"has more than {MAX_NODES} nodes or {MAX_DEPTH} levels"
    return None
