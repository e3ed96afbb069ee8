"""`make mutants`: changes the pure modules in small ways, and reports the changes that no test notices.

python -m tests.mutants                              what changed since the last run
python -m tests.mutants heddle/plan/values/durations.py     one module, or a folder
python -m tests.mutants --strings PATH               changes strings too

modules.toml lists the modules and their tests, equivalents.toml the mutants that no test can
notice. The exit code is 1 if a package has less than 90 % of its mutants killed, and 2 if some
could not be judged.

Cosmic Ray provides the operators, but not the runs: it writes each mutant into the checkout and
starts pytest for each, which takes over a second, and so hours for these modules. mutmut 3 runs
mutants in forks, but it changes only the bodies of functions: no table of moves, no limit and no
decorated function. Functions that run during an import, such as those that build such a table,
keep their original form, so that their mutants always survive.
"""

import argparse
import difflib
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.mutants.cache import Cache
from tests.mutants.config import ROOT, Judged, equivalent, equivalents, judged
from tests.mutants.mutation import Identity
from tests.mutants.verdict import Verdict

LEAST_PERCENT: Final = 90


def main() -> int:
    """Judges what changed and prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", help="modules or folders; default: all of modules.toml")
    parser.add_argument("--jobs", type=int, default=2, help="modules that are judged at the same time")
    parser.add_argument("--strings", action="store_true", help="change strings too")
    asked = parser.parse_args()
    modules = [each for each in judged() if _wanted(each, asked.paths)]
    if not modules:
        parser.error(f"modules.toml has no module in {', '.join(asked.paths)}")
    with ThreadPoolExecutor(max_workers=asked.jobs) as pool:
        done = list(pool.map(lambda each: _judge(each, strings=asked.strings), modules))
    print()
    return _print_results(list(zip(modules, done, strict=True)))


def _wanted(each: Judged, paths: list[str]) -> bool:
    return not paths or any(
        each.module == path or each.module.startswith(f"{path.rstrip('/')}/") for path in paths
    )


def _judge(each: Judged, *, strings: bool) -> Cache:
    """Judges the mutants of a module that have no valid result; prints one line."""
    cache = Cache(each, strings=strings)
    missing = cache.missing()
    if missing:
        scratch = Path(tempfile.mkdtemp(prefix="heddle-mutants-"))
        asked = {
            "module": each.module,
            "tests": each.tests,
            "scratch": str(scratch / "tests"),
            "strings": strings,
            "wanted": None if len(missing) == len(cache.identities) else missing,
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdin is not None
        assert worker.stdout is not None
        with worker.stdin:
            worker.stdin.write(json.dumps(asked))
        # What was judged before an interruption is kept.
        lines: list[str] = []
        try:
            for line in worker.stdout:
                if line.startswith("{"):
                    lines.append(line)  # noqa: PERF401 (extend() would lose them if interrupted)
        finally:
            worker.kill()
            worker.wait()
            cache.add(lines)
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"{each.module}: {len(cache.identities)} mutants, {len(missing)} judged now", flush=True)
    return cache


def _print_results(modules: list[tuple[Judged, Cache]]) -> int:
    known = equivalents()
    code = 0
    for _, cache in modules:
        for identity in cache.identities:
            result = cache.results.get(identity.key)
            if equivalent(identity) in known:
                continue
            if result is None:
                code = 2
            if result is None or result.verdict == Verdict.SURVIVED:
                print(f"{_diff(identity)}\n  {result.by if result else 'not judged'}\n")
    print(f"{'package':32}{'mutants':>9}{'killed':>9}{'survived':>9}{'equivalent':>12}{'%':>7}")
    packages: dict[str, list[Cache]] = {}
    for each, cache in modules:
        packages.setdefault(each.package, []).append(cache)
    for package, caches in packages.items():
        found = [
            (identity, cache.results.get(identity.key)) for cache in caches for identity in cache.identities
        ]
        counted = [result for identity, result in found if equivalent(identity) not in known]
        killed = sum(result is not None and result.verdict == Verdict.KILLED for result in counted)
        percent = 100 * killed / len(counted) if counted else 100.0
        print(
            f"{package:32}{len(found):9}{killed:9}{len(counted) - killed:9}{len(found) - len(counted):12}{percent:7.1f}"
        )
        if percent < LEAST_PERCENT:
            code = code or 1
    return code


def _diff(identity: Identity) -> str:
    lines = difflib.unified_diff(identity.line.split("\n"), identity.becomes.split("\n"), lineterm="", n=1)
    shown = "\n".join(f"  {line}" for line in list(lines)[3:])
    number = f" ({identity.occurrence})" if identity.occurrence > 1 else ""
    return f"{identity.module}: {identity.function or 'outside of functions'}{number}\n{shown}"


if __name__ == "__main__":
    sys.exit(main())
