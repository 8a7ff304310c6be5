"""Damaged skops files: refused, or loaded and usable, but never a crash or a hang of the process."""

import io
import multiprocessing
import random
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, OneClassSVM
from volumes import volume

from registry import flavors
from registry.exceptions import RegistryError

VALUES = np.random.default_rng(0).random((60, 4))
LABELS = np.arange(60) % 3
SPARSE = sparse.csr_matrix(np.where(VALUES > 0.5, VALUES, 0.0))

KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "forest": (lambda: RandomForestClassifier(2, random_state=0).fit(VALUES, LABELS), VALUES),
    "histograms": (
        lambda: HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(np.c_[LABELS, VALUES], LABELS),
        np.c_[LABELS, VALUES],
    ),
    "k-d tree": (lambda: KNeighborsClassifier(3, algorithm="kd_tree", leaf_size=5).fit(VALUES, LABELS), VALUES),
    "ball tree": (lambda: KNeighborsClassifier(3, algorithm="ball_tree", leaf_size=5).fit(VALUES, LABELS), VALUES),
    "sparse neighbours": (lambda: KNeighborsClassifier(3, algorithm="brute").fit(SPARSE, LABELS), SPARSE),
    "machine": (lambda: SVC().fit(VALUES, LABELS), VALUES),
    "sparse machine": (lambda: SVC().fit(SPARSE, LABELS), SPARSE),
    "outliers": (lambda: OneClassSVM().fit(VALUES), VALUES),
    "linear": (lambda: LogisticRegression().fit(VALUES, LABELS), VALUES),
}


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """The same archive with numbers changed in one of its arrays, or in its schema."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    name = chance.choice(sorted(contents))
    changed = contents[name]
    # Behind the head of an array, so that it stays one.
    start = min(128 if name.endswith(".npy") else 0, len(changed) - 1)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(start, len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = (
                    chance.randrange(256) if name.endswith((".npy", ".npz")) else ord(chance.choice("0123456789"))
                )
            case 2:
                at -= at % 8
                changed[at : at + 4] = b"\xff\xff\xff\x7f"
            case _:
                at -= at % 4
                changed[at : at + 4] = b"\xff\xff\xff\xff"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for entry, content in contents.items():
            archive.writestr(entry, bytes(content))
    return target.getvalue()


def _storm(kind: str, directory: str, seed: int, count: int, checked: bool, sender: Any) -> None:
    """Load and use mutated files one after another; announce each first, so that a crash can be counted."""
    import skops.io

    warnings.simplefilter("ignore")
    make, rows = KINDS[kind]
    place = Path(directory)
    flavors.save_model(make(), place / "model", "sklearn")
    file = place / "model" / "model.skops"
    whole = file.read_bytes()
    trusted = skops.io.get_untrusted_types(data=whole)
    for number in range(seed, seed + count):
        data = _mutated(whole, random.Random(number))
        sender.send("started")
        try:
            if checked:
                file.write_bytes(data)
                model = flavors.load_model(place / "model", "sklearn")
            else:
                model = skops.io.loads(data, trusted=trusted)
            model.predict(rows)
        except RegistryError:
            sender.send("refused")
        except Exception:  # an error while it is used is an error, not a crash
            sender.send("error")
        else:
            sender.send("used")
    sender.send("done")


def crash_rates(kind: str, directory: Path, count: int, *, checked: bool) -> Counter[str]:
    """Count the outcomes of mutated files; a process that crashed is counted and started again."""
    context = multiprocessing.get_context("spawn")  # forked, OpenMP hangs
    found: Counter[str] = Counter()
    tried = 0
    while tried < count:
        receiver, sender = context.Pipe(duplex=False)
        (directory / str(tried)).mkdir()
        process = context.Process(
            target=_storm, args=(kind, str(directory / str(tried)), tried, count - tried, checked, sender)
        )
        process.start()
        sender.close()
        open_try = False
        try:
            while (said := receiver.recv()) != "done" if receiver.poll(120) else False:
                if said == "started":
                    open_try, tried = True, tried + 1
                else:
                    open_try = False
                    found[said] += 1
        except EOFError:
            pass
        if open_try:
            process.kill()
            found["crashed"] += 1
        process.join(timeout=60)
        if not open_try and tried < count:
            raise AssertionError(f"the child stopped early with {process.exitcode}")
    return found


@pytest.mark.parametrize("count", [60, pytest.param(3_000, marks=pytest.mark.storm)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_model_never_takes_the_process_down(kind: str, count: int, tmp_path: Path) -> None:
    count = volume(count, 200) if count > 60 else count
    found = crash_rates(kind, tmp_path, count, checked=True)
    assert found["crashed"] == 0, found
    assert sum(found.values()) == count
