"""The flavor of the guide works as it is printed: installed as a package, it passes the contract."""

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "flavors.md"


def test_the_flavor_of_the_guide_passes_the_contract(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    flavor, contract = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (entry_point,) = re.findall(r"^```toml\n.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    metadata = tmp_path / "polynomial_flavor-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: polynomial-flavor\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[registry.flavors]\n" + entry_point.replace('"', ""))
    (tmp_path / "polynomial_flavor.py").write_text(flavor)
    (tmp_path / "test_polynomial.py").write_text(contract)

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_polynomial.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stdout[-3000:]
    assert "12 passed" in done.stdout
    assert len([line for line in flavor.splitlines() if line]) <= 60
