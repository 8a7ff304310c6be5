"""Coverage-guided fuzzing of our parsers by atheris: ``python tests/fuzz/fuzz_parsers.py --executions 1000000``.

Each target runs in a process of its own, as libFuzzer ends the process; a finding is written to ``--findings`` and ends
the run of its target. The tests replay what lies in ``tests/fuzz/findings``.
"""

import argparse
import atexit
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))


def fuzz(name: str, executions: int, findings: Path, seed: int) -> None:
    """Run one target; this never returns, since libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["registry", "lark", "yaml", "zipfile", "json"]):
        from fuzz_targets import TARGETS, mutate
    target = TARGETS[name]
    seeds = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, data in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(data)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        if target.restructure is None or seed % 3:
            return bytes(atheris.Mutate(data, max_size))
        return mutate(data, random.Random(seed), target)[:max_size]

    # libFuzzer's timer would end the interpreter while it cleans up.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    longest = max(len(data) for data in target.seeds())
    arguments = [
        sys.argv[0],
        str(seeds),
        f"-atheris_runs={executions}",
        f"-artifact_prefix={findings}/{name}-",
        f"-max_len={min(max(2 * longest, 512), 60_000)}",
        f"-seed={seed}",
        "-timeout=30",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, target.run, custom_mutator=change)
    atheris.Fuzz()


def main() -> int:
    """Run every target with its share of the executions, one after another; the number of those with findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000, help="in total over the targets")
    parser.add_argument("--target", action="append", help="only these")
    parser.add_argument("--findings", type=Path, default=HERE / "findings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.findings.mkdir(exist_ok=True)
    if given.alone:
        fuzz(given.alone, given.executions, given.findings, given.seed)
    from fuzz_targets import TARGETS

    chosen = [TARGETS[name] for name in given.target or TARGETS]
    shares = sum(target.share for target in chosen)
    failed = 0
    for target in chosen:
        runs = -(-given.executions * target.share // shares)
        command = [sys.executable, __file__, "--alone", target.name, "--executions", str(runs)]
        command += ["--findings", str(given.findings), "--seed", str(given.seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        output = done.stdout.splitlines()
        stats = [line for line in output if line.startswith(("stat::number_of_executed", "stat::average"))]
        sys.stdout.write(f"{target.name}: {runs} executions, exit {done.returncode}. {' '.join(stats)}\n")
        if done.returncode:
            sys.stdout.write("\n".join(output[-60:]) + "\n")
        sys.stdout.flush()
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
