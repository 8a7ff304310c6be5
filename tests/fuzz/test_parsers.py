"""Our parsers against anything at all: a value that survives being written, or an error of ours; never a crash."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, Target, mutate
from volumes import volume

HERE = Path(__file__).parent
FINDINGS = sorted((HERE / "findings").glob("*"))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_seeds_are_taken(target: Target) -> None:
    for seed in target.seeds():
        target.run(seed)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_changed_input_is_a_value_or_an_error_of_ours(target: Target) -> None:
    chance = random.Random(10)
    pool = [b"", *target.seeds()]
    for _ in range(150 * target.share):
        data = mutate(chance.choice(pool), chance, target)
        target.run(data)
        if len(pool) < 40 and len(data) < 100_000:
            pool.append(data)  # later inputs are changed more than once


@pytest.mark.parametrize("file", FINDINGS, ids=lambda file: file.name)
def test_what_was_once_found_stays_repaired(file: Path) -> None:
    TARGETS[file.name.partition("-")[0]].run(file.read_bytes())


@pytest.mark.storm
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", TARGETS)
def test_coverage_guided_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    share = TARGETS[name].share / sum(target.share for target in TARGETS.values())
    executions = int(volume(1_000_000, 11_000) * share)
    command = [sys.executable, str(HERE / "fuzz_parsers.py"), "--target", name, "--executions", str(executions)]
    done = subprocess.run([*command, "--findings", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
