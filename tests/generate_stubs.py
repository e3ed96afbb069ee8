"""Compiles protos/ into Python stubs, or checks that those committed are fresh.

python -m tests.generate_stubs heddle/v1          writes them
python -m tests.generate_stubs --check heddle/v1  exits 1 if they differ
"""

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
BIN = Path(sys.executable).parent


def generate(into: Path) -> None:
    """Writes the stubs of every proto below `into`, the parent folder of `heddle`."""
    messages = sorted(str(path) for path in PROTOS.rglob("*.proto"))
    services = [path for path in messages if path.endswith("_service.proto")]
    plugins = [f"--plugin=protoc-gen-{name}={BIN / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    common = ["protoc", f"-I{PROTOS}", f"-I{well_known}", *plugins]
    for outputs, files in (
        ([f"--python_out={into}", f"--mypy_out=quiet:{into}"], messages),
        ([f"--grpc_python_out={into}", f"--mypy_grpc_out=quiet:{into}"], services),
    ):
        if protoc.main([*common, *outputs, *files]):
            sys.exit("protoc failed; its message stands above")
    (into / "heddle" / "v1" / "__init__.py").touch()


def differences(fresh: Path, committed: Path) -> list[str]:
    """Returns the names of the files that are missing, left over or different."""
    compared = filecmp.dircmp(fresh, committed, ignore=["__pycache__"])
    _, changed, unreadable = filecmp.cmpfiles(fresh, committed, compared.common_files, shallow=False)
    return sorted({*compared.left_only, *compared.right_only, *changed, *unreadable})


def main() -> int:
    """Runs the command line above; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = Path(scratch) / "heddle" / "v1"
        if arguments.check:
            stale = differences(fresh, arguments.folder)
            if stale:
                print(f"stale: {', '.join(stale)}; run `make proto` and commit the result", file=sys.stderr)
            return bool(stale)
        shutil.rmtree(arguments.folder, ignore_errors=True)
        shutil.copytree(fresh, arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
