"""Check which types and functions a skops file uses, before skops makes any of them.

skops asks whether each name in a file is trusted, but not how the file uses it. Here a trusted function may only be
referred to, never called while loading; `getattr` may only give a method of ``str``. Guarantees: a file that passes
without the caller's consent executes no code from the file, and every index in it is inside its array.
"""

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from registry.exceptions import InvalidModelError, MissingDependencyError
from registry.flavors.optional_imports import optional_import
from registry.flavors.untrusted.sklearn_trees import check_structures
from registry.flavors.untrusted.skops_types import trusted_kind, trusted_str_methods

_Node: TypeAlias = Mapping[str, Any]
# The errors of skops on damaged or foreign files; it has no error class of its own for them.
SKOPS_ERRORS: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    ImportError,
    AttributeError,
    LookupError,
    OSError,
    EOFError,
    MemoryError,
    TypeError,
    ValueError,
    RecursionError,
    RuntimeError,
)
# The uses that a file may make of a trusted name of each kind; a type may be used in any way.
_REFERENCES: Final = frozenset({"FunctionNode", "TypeNode"})
_CLASS_REFERENCES: Final = frozenset({"TypeNode"})
_SPECIAL: Final = {
    "functools.partial": frozenset({"PartialNode"}),
    "operator.itemgetter": frozenset({"OperatorFuncNode"}),
}
_GETATTR: Final = "builtins.getattr"
# The largest ratio of unpacked to packed size, for files above a size that fits any machine.
_MAX_EXPANSION: Final = 100
_ROOM: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TypesInFile:
    """The names in a skops file that skops does not trust: those trusted here or by the caller, and the rest."""

    trusted: list[str]
    untrusted: list[str]


def types_in_file(file: Path, trusted: Iterable[str] = ()) -> TypesInFile:
    """Classify every name in a skops file. The caller trusts the names in `trusted`, however the file uses them.

    Raises:
        ValueError: the file is too large when unpacked.
    """
    skops = optional_import("skops.io", "sklearn")
    _check_expansion(file)
    names = set(skops.get_untrusted_types(file=file))
    with zipfile.ZipFile(file) as archive:
        nodes = list(_nodes(json.loads(archive.read("schema.json"))))
    by_name = defaultdict[str, list[_Node]](list)
    for node in nodes:
        by_name[f"{node.get('__module__')}.{node.get('__class__')}"].append(node)
    accepted = names & set(trusted)
    accepted |= {name for name in names - accepted if _is_trusted(name, by_name[name], nodes)}
    return TypesInFile(sorted(accepted), sorted(names - accepted))


def check_skops_file(file: Path) -> None:
    """Check that no structure in a skops file leads outside its arrays. Files of another format pass.

    A file that cannot be loaded without consent passes: loading asks for consent, and checks it again.

    Raises:
        InvalidModelError: an index that scikit-learn would follow leads outside its array.
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        skops = optional_import("skops.io", "sklearn")
    except MissingDependencyError:
        return
    try:
        types = types_in_file(file)
        if types.untrusted:
            return
        model = skops.load(file, trusted=types.trusted)
    except SKOPS_ERRORS:
        return
    try:
        check_structures(model)
    except SKOPS_ERRORS as error:
        raise InvalidModelError(
            f"{str(file)!r} is no whole scikit-learn model: {error}. scikit-learn itself could crash on it. Save the "
            "model again."
        ) from None


def _is_trusted(name: str, uses: list[_Node], nodes: list[_Node]) -> bool:
    # skops names some types that have no node, such as the owner of a method; nothing shows how they are used.
    loaders = {str(node["__loader__"]) for node in uses}
    if name == _GETATTR:
        return bool(uses) and _unambiguous(uses, nodes) and all(map(_is_str_method, uses))
    if name in _SPECIAL:
        return bool(uses) and loaders <= _SPECIAL[name]
    match trusted_kind(name):
        case "type":
            return True
        case "function":
            return bool(uses) and loaders <= _REFERENCES
        case "class":
            return bool(uses) and loaders <= _CLASS_REFERENCES
    return False


def _is_str_method(node: _Node) -> bool:
    """Tell whether a node is the call ``getattr(str, "<method>")`` with a method of the list."""
    if node.get("__loader__") != "ConstructorFromReduceNode":
        return False
    match node.get("content"):
        case {
            "__loader__": "TupleNode",
            "__module__": "builtins",
            "__class__": "tuple",
            "content": [
                {"__loader__": "TypeNode", "__module__": "builtins", "__class__": "str"},
                {"__loader__": "JsonNode", "content": str(text)},
            ],
        }:
            return text in {json.dumps(method) for method in trusted_str_methods()}
    return False


def _unambiguous(uses: list[_Node], nodes: list[_Node]) -> bool:
    """Tell whether each node has its own id: skops takes another node of the same id in its place."""
    held = {id_: node for use in uses for node in _nodes(use) if (id_ := _id(node)) is not None}
    return all(node == held[id_] for node in nodes if (id_ := _id(node)) in held)


def _id(node: _Node) -> object:
    id_ = node.get("__id__")
    return id_ if isinstance(id_, int | float | str | bool) else None


def _nodes(schema: Any) -> Iterator[_Node]:
    """Yield every node of a skops file, at any depth."""
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            stack += value.values()
        elif isinstance(value, list):
            stack += value


def _check_expansion(file: Path) -> None:
    packed = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > _MAX_EXPANSION * packed + _ROOM:
        raise ValueError(f"it has {packed} bytes and would have {unpacked} when unpacked")
