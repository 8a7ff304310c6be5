"""The pieces of the guide to serving answer requests."""

import re
from pathlib import Path
from typing import Any

import pytest
from asgi_client import AsgiClient

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "serving.md"

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the guide is in a checkout")


def test_the_piece_for_fastapi_answers_with_the_version_in_production(own_place: Path) -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    for source in re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[
        :2
    ]:
        exec(compile(source, str(GUIDE), "exec"), names)

    with AsgiClient(names["app"]) as client:
        answer = client.post("/score", [{"rest_days": 1.0, "rating_gap": 2.0}])

    assert answer.status == 200, answer.body
    assert answer.json()["version"] == 2
    assert len(answer.json()["scores"]) == 1
