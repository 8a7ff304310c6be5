"""Damaged XGBoost files: refused, or loaded and usable, but never a crash or a hang of the process."""

import multiprocessing
import random
from pathlib import Path

import numpy as np
import pytest
import xgboost
from volumes import volume

from registry.exceptions import InvalidModelError
from registry.flavors.untrusted.model_directory import check_xgboost_bytes

pytestmark = pytest.mark.slow


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.randrange(256)
            case 2:
                del changed[at : at + chance.randint(1, 8)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 8))
            case _:
                changed[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(changed)


def _storm(models: list[bytes], seed: int, count: int, results: "multiprocessing.Queue[tuple[int, int]]") -> None:
    chance = random.Random(seed)
    rows = xgboost.DMatrix(np.zeros((3, 4)))
    refused = loaded = 0
    for _ in range(count):
        data = _mutated(chance.choice(models), chance)
        try:
            check_xgboost_bytes(data, Path("model.ubj"))
        except InvalidModelError:
            refused += 1
            continue
        try:
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(bytearray(data))
            booster.predict(rows, validate_features=False)
        except (xgboost.core.XGBoostError, ValueError, UnicodeDecodeError):
            refused += 1
        else:
            loaded += 1
    results.put((refused, loaded))


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.storm)])
def test_a_mutated_model_never_takes_the_process_down(count: int) -> None:
    data, labels = np.random.default_rng(0).random((60, 4)), np.arange(60) % 2
    models = [
        bytes(
            xgboost.train(
                {"booster": kind, "nthread": 1, "objective": "binary:logistic"}, xgboost.DMatrix(data, labels), 3
            ).save_raw(form)
        )
        for kind in ("gbtree", "dart", "gblinear")
        for form in ("ubj", "json")
    ]
    count = volume(count, 2_000) if count > 400 else count
    context = multiprocessing.get_context("spawn")  # forked, XGBoost hangs
    results = context.Queue()
    process = context.Process(target=_storm, args=(models, 11, count, results))
    process.start()
    refused, loaded = results.get(timeout=60 + count / 20)
    process.join(timeout=60)

    assert process.exitcode == 0
    assert refused + loaded == count
    assert refused > count / 4
