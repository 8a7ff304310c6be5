"""Which texts name a root of bytes."""

import subprocess
import sys

import pytest

from registry.blobs import open_blob_store
from registry.exceptions import InvalidUriError


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("/data/artifacts", "/data/artifacts"),
        ("/data/100% mine?#1", "/data/100% mine?#1"),
        ("file:///data//a/", "/data/a"),
        ("file://localhost/data", "/data"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://my.bucket-1/a/b/", "s3://my.bucket-1/a/b"),
        ("s3://bucket/50%/ü x", "s3://bucket/50%/ü x"),
    ],
)
def test_a_root_is_read_as_it_stands_and_told_canonically(text: str, root: str) -> None:
    assert open_blob_store(text).root == root


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "relative/path",
            "file:relative",
            "file:///bad%2escape%zz",
            "file://host/share",
            "http://server/artifacts",
        ),
        *("gs://bucket/prefix", "mlflow-artifacts:/0", "s3:bucket", "s3://", "s3://b", "s3://user:secret@bucket/p"),
        *("s3://bucket//a", "s3://bucket/a//b", "s3://bucket/a/../b", "s3://bucket/a\nb", "/a\0b"),
    ],
)
def test_what_is_neither_an_absolute_path_nor_on_s3_is_refused(text: str) -> None:
    with pytest.raises(InvalidUriError):
        open_blob_store(text)


def test_a_local_store_imports_neither_boto3_nor_rich() -> None:
    script = """
import sys, tempfile
from registry.blobs import open_blob_store
with tempfile.TemporaryDirectory() as directory:
    store = open_blob_store(directory)
    store.write("a", b"x")
    store.download("a", __import__("pathlib").Path(directory) / "to")
print(sorted({"boto3", "botocore", "rich"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""
