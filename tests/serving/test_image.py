"""The generated Dockerfile, carried out instruction by instruction without Docker: what it makes serves and drains."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from served_models import eventually, promote
from served_processes import call, free_port, program

from registry.cli import main

ROOT = Path(__file__).parents[2]
BODY = {"dataframe_split": {"columns": ["x"], "data": [[0.0], [1.0]]}}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="the wheel is built from a checkout"),
    pytest.mark.skipif(
        '"editable": true' not in (distribution("registry-ml").read_text("direct_url.json") or ""),
        reason="pip takes the installed registry for the wheel, unless it is installed editable",
    ),
]


class Container:
    """A directory in place of an image: absolute paths of the Dockerfile lie below it, and port 8080 is a free one.

    Packages are installed into a new environment that finds those of this one, so that nothing is downloaded; `apt-get`
    and `useradd` are only noted in the file ``commands``.
    """

    def __init__(self, context: Path, root: Path) -> None:
        self.context, self.root, self.port = context, root, free_port()
        self.directory = root
        self.command: list[str] = []
        self.health: list[str] = []
        self.variables: dict[str, str] = {}
        python = root / "venv/bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
        packages = next((root / "venv/lib").glob("python*")) / "site-packages"
        # Not by PYTHONPATH: pip looks there for what it replaces.
        (packages / "base.pth").write_text("\n".join({sysconfig.get_path("purelib"), *sys.path[1:]} - {str(ROOT)}))
        self.bin = root / "bin"
        self.bin.mkdir()
        self._script("pip", f'exec {sys.executable} -m pip --python {python} "$@"')
        for name in ("apt-get", "useradd"):
            self._script(name, f'echo {name} "$@" >> {root}/commands')

    def _script(self, name: str, line: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{line}\n")
        (self.bin / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.bin), str(self.root / "venv/bin"), os.environ["PATH"]])
        return {**os.environ, **self.variables, "PATH": path}

    def build(self) -> None:
        """Carry out the Dockerfile."""
        for line in (self.context / "Dockerfile").read_text().splitlines():
            word, _, rest = line.partition(" ")
            if word in ("", "#", "FROM", "LABEL", "EXPOSE", "USER"):
                continue
            getattr(self, word.lower())(rest)

    def env(self, rest: str) -> None:
        self.variables |= dict(pair.split("=", 1) for pair in shlex.split(rest))

    def workdir(self, rest: str) -> None:
        self.directory = self.root / rest.strip("/")
        self.directory.mkdir(parents=True, exist_ok=True)

    def run(self, rest: str) -> None:
        done = subprocess.run(
            ["sh", "-c", rest], cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, f"RUN {rest}: {done.stdout}{done.stderr}"

    def copy(self, rest: str) -> None:
        *sources, target = rest.split()
        ignored = (self.context / ".dockerignore").read_text().split()
        for source in sources:
            assert f"!{source.split('/')[0]}" in ignored or (source.endswith(".whl") and "!*.whl" in ignored)
            place = self.directory / target
            if (self.context / source).is_dir():
                shutil.copytree(self.context / source, place, dirs_exist_ok=True)
                continue
            if target.endswith("/"):
                place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.context / source, place / Path(source).name if place.is_dir() else place)

    def healthcheck(self, rest: str) -> None:
        self.health = self._words(rest[rest.index("[") :])

    def cmd(self, rest: str) -> None:
        self.command = self._words(rest)

    def _words(self, form: str) -> list[str]:
        words = [word.replace("8080", str(self.port)) for word in json.loads(form)]
        return [re.sub(r"^/opt/", f"{self.root}/opt/", word) for word in words]

    def is_healthy(self) -> bool:
        return subprocess.run(self.health, env=self.environment, capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    isolation = ["--no-isolation"] if find_spec("hatchling") else []
    words = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(directory), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True, timeout=400)
    return next(directory.glob("*.whl"))


@pytest.mark.parametrize("follows", [False, True], ids=["inside", "follow"])
def test_what_the_dockerfile_makes_serves_and_drains(
    two_versions: None, wheel: Path, tmp_path: Path, follows: bool
) -> None:
    uri = Path("mlruns/registry.db").resolve()
    line = ["models", "generate-dockerfile", "churn/Production", "-d", "build", "--package", str(wheel)]
    assert main([*line, *(["--follow"] if follows else [])]) == 0
    (tmp_path / "image").mkdir()
    container = Container(Path("build"), tmp_path / "image")
    container.build()

    assert (container.root / "commands").read_text().split()[0] == "useradd"
    installed = next((container.root / "venv/lib").glob("python*/site-packages/registry"))
    script = container.root / "venv/bin/registry"
    assert (installed.is_dir(), script.is_file()) == (True, True)
    address = f"http://127.0.0.1:{container.port}"
    place = {"REGISTRY_TRACKING_URI": f"sqlite:///{uri}"} if follows else {}
    environment = {**container.environment, **place}
    environment.pop("PYTHONPATH", None)
    with program([str(script), *container.command[1:]], **environment) as process:
        eventually(lambda: call(address, "/ping")[0] == 200 or process.poll() is not None, 120)
        assert container.is_healthy(), Path("log").read_text()
        status, answer = call(address, "/invocations", BODY)
        assert (status, [round(value) for value in answer["predictions"]]) == (200, [1, 1])
        if follows:
            promote(2)
            eventually(lambda: [round(n) for n in call(address, "/invocations", BODY)[1]["predictions"]] == [2, 2])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    assert not container.is_healthy()
    assert "Traceback" not in Path("log").read_text()
