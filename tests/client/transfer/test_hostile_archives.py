"""Archives changed by an attacker or a disk: each is rejected, and nothing is written anywhere."""

import struct
import zipfile
from pathlib import Path

import pytest
from export_files import MANIFEST, assert_refused, read_archive, sha256, write_archive

import registry
from registry.exceptions import ArtifactNotFoundError, RegistryError, StorageError

Client = registry.MlflowClient


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/evil", "files/../../evil", "files/..", "files/", "files", "evil", "..\\evil", "C:\\evil"),
        *(
            "files/" + "A" * 64,
            "files/" + "a" * 63,
            "files/" + "a" * 65,
            "files/" + "a" * 64 + "\n",
            "FILES/" + "a" * 64,
        ),
        *("./registry-export.json", "registry-export.json/", "registry-export.json\n", "Registry-Export.json"),
        *("files/" + "a" * 64 + "/", "files/" + "\uff41" * 64, "files//" + "a" * 64, "", " ", "~/.ssh/id_rsa"),
    ],
)
def test_a_name_of_no_use_is_refused(target: Client, exported: Path, own_place: Path, name: str) -> None:
    contents = read_archive(exported)
    contents[name] = b"evil"

    assert_refused(
        target, write_archive(exported, contents), own_place, "only registry-export.json and files/<sha256> are allowed"
    )


def test_a_name_that_ends_at_a_nul_is_refused(target: Client, exported: Path, own_place: Path) -> None:
    contents = {**read_archive(exported), "files/" + "a" * 64 + "!evil": b"evil"}
    write_archive(exported, contents)
    exported.write_bytes(exported.read_bytes().replace(b"!evil", b"\0evil"))

    assert_refused(target, exported, own_place)


def test_a_file_that_nothing_names_is_refused(target: Client, exported: Path, own_place: Path) -> None:
    contents = read_archive(exported)
    contents[f"files/{sha256(b'evil')}"] = b"evil"

    assert_refused(target, write_archive(exported, contents), own_place, "nothing in its manifest names")


def test_a_name_twice_is_refused(target: Client, exported: Path, own_place: Path) -> None:
    first = next(name for name in read_archive(exported) if name != MANIFEST)
    with zipfile.ZipFile(exported, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(first, b"evil")

    assert_refused(target, exported, own_place, "twice")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_is_refused_and_with_it_every_bomb(
    target: Client, exported: Path, own_place: Path, compression: int
) -> None:
    contents = {**read_archive(exported), f"files/{'a' * 64}": bytes(50_000_000)}
    write_archive(exported, contents, compression)
    assert exported.stat().st_size < 1_000_000

    assert_refused(target, exported, own_place, "is compressed")


def test_entries_that_overlap_are_refused(target: Client, exported: Path, own_place: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    data = bytearray(exported.read_bytes())
    end = data.rindex(b"PK\x05\x06")
    entries, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    directory = data[start : start + size]
    record = directory[directory.index(largest.filename.encode()) - 46 :]
    record = record[: 46 + sum(struct.unpack("<HHH", record[28:34]))]
    forged = [record.replace(largest.filename.encode(), _name_like(largest.filename, n)) for n in range(500)]
    directory += b"".join(forged)
    tail = data[end : end + 8] + struct.pack("<HHIIH", entries + 500, entries + 500, len(directory), start, 0)
    exported.write_bytes(bytes(data[:start]) + bytes(directory) + bytes(tail))

    assert_refused(target, exported, own_place)


def _name_like(name: str, number: int) -> bytes:
    length = len(name) - len("files/")
    return f"files/{number:0{length}x}".encode()


@pytest.mark.parametrize("claimed", [2**40, 2**63 - 1])
def test_a_size_that_only_zip64_can_claim_is_refused(
    target: Client, exported: Path, own_place: Path, claimed: int
) -> None:
    contents = read_archive(exported)
    with zipfile.ZipFile(exported, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        # The table of contents is written when the archive is closed.
        archive.infolist()[-1].file_size = archive.infolist()[-1].compress_size = claimed

    assert_refused(target, exported, own_place, "longer than the archive itself")


def test_an_archive_of_zip64_entries_is_taken(target: Client, exported: Path) -> None:
    contents = read_archive(exported)
    with zipfile.ZipFile(exported, "w") as archive:
        for name, data in contents.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                file.write(data)

    assert target.import_model(exported).name == "churn"


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_changed_byte_is_found(target: Client, exported: Path, own_place: Path, where: str) -> None:
    contents = read_archive(exported)
    name = max((name for name in contents if name != MANIFEST), key=lambda name: len(contents[name]))
    data = bytearray(contents[name])
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[where]] ^= 1
    contents[name] = bytes(data)

    assert_refused(target, write_archive(exported, contents), own_place, "is not what was recorded: expected 700 bytes")


def test_a_byte_that_the_disk_changed_is_found(target: Client, exported: Path, own_place: Path) -> None:
    data = exported.read_bytes()
    exported.write_bytes(data.replace(b"weightsweights", b"weightsWeights", 1))

    assert_refused(target, exported, own_place, "cannot be read: Bad CRC-32")


@pytest.mark.parametrize("change", ["missing", "shorter", "longer"])
def test_a_file_of_another_length_is_found(target: Client, exported: Path, own_place: Path, change: str) -> None:
    contents = read_archive(exported)
    name = next(name for name in contents if name != MANIFEST)
    if change == "missing":
        del contents[name]
    else:
        contents[name] = contents[name][:-1] if change == "shorter" else contents[name] + b"!"

    assert_refused(
        target, write_archive(exported, contents), own_place, "is missing" if change == "missing" else "instead of"
    )


@pytest.mark.parametrize("length", [0, 1, 30, 500, -1, -30])
def test_a_file_that_was_cut_off_is_refused(target: Client, exported: Path, own_place: Path, length: int) -> None:
    exported.write_bytes(exported.read_bytes()[:length])

    assert_refused(target, exported, own_place)


@pytest.mark.parametrize("data", [b"", b"PK", b"hello", b"\x80\x04\x95", b"\x1f\x8b\x08" + bytes(50), bytes(5_000)])
def test_another_file_is_refused(target: Client, exported: Path, own_place: Path, data: bytes) -> None:
    exported.write_bytes(data)

    assert_refused(target, exported, own_place, "is not a complete export of a registered model")


def test_an_archive_without_a_manifest_is_refused(target: Client, exported: Path, own_place: Path) -> None:
    assert_refused(target, write_archive(exported, {}), own_place, "has no registry-export.json")


def test_a_file_that_is_not_there_says_so(target: Client) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"There is no file 'nothing\.zip'"):
        target.import_model("nothing.zip")
    with pytest.raises(StorageError, match="Is a directory"):
        target.import_model(".")


@pytest.mark.parametrize("name", ["a/b", "..", "", "a:b", "m-" + "0" * 32])
def test_a_name_here_that_cannot_be_is_refused_first(target: Client, exported: Path, name: str) -> None:
    with pytest.raises(RegistryError, match="name"):
        target.import_model(exported, name=name)
