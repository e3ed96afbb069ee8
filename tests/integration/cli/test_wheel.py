"""The wheel, installed where no checkout is."""

import asyncio
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import psutil
import pytest

import heddle
from heddle.cli.admin import ports
from tests.support.commands import DEADLINE, gone
from tests.support.repositories import git

CHECKOUT = Path(heddle.__file__).parents[1]


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """The `heddle` command of a wheel, in an environment of its own.

    The environment finds the wheel's files, and the installed dependencies, but nothing of the checkout.
    """
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            str(tmp_path),
            str(CHECKOUT),
        ],
        check=True,
    )
    [wheel] = tmp_path.glob("heddle-*.whl")
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    places = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", places))
    # Folders that a .pth file names come after the environment's own, and their .pth files are not read: so the
    # editable installation of the checkout is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    target = ["--no-deps", "--quiet", "--target", str(packages)]
    subprocess.run([sys.executable, "-m", "pip", "install", *target, str(wheel)], check=True)
    entry = folder / "bin" / "heddle"
    entry.write_text(f"#!{folder / 'bin' / 'python'}\nfrom heddle.cli.main import run\nrun()\n")
    entry.chmod(0o755)
    return entry


def imported_from(command: Path, environment: dict[str, str], folder: Path) -> str:
    """Returns the files of the packages that the command imports."""
    program = "import heddle, ui_svc; print(heddle.__file__, ui_svc.__file__)"
    python = [str(command.parent / "python"), "-c", program]
    done = subprocess.run(python, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.timeout(240)
async def test_the_wheel_holds_all_that_the_demo_needs(command: Path, tmp_path: Path) -> None:
    """Installed from its wheel alone, `heddle demo` starts the services, serves the board and begins its run."""
    environment = {
        **{
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HEDDLE_", "PYTHON", "PYTEST"))
        },
        "HEDDLE_HOME": str(tmp_path / "home"),
    }
    assert str(CHECKOUT) not in imported_from(command, environment, tmp_path)
    demo = await asyncio.create_subprocess_exec(
        str(command),
        "demo",
        "--speed",
        "40",
        "--ports",
        str(ports.find_free(45_000)),
        env=environment,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert demo.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(3 * DEADLINE):
            while b"storage/schema/1: accepted" not in said and (line := await demo.stdout.readline()):
                said += line
        assert b"storage/schema/1: accepted" in said, said.decode()
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.terminate()
        async with asyncio.timeout(DEADLINE):
            said += await demo.stdout.read()
            assert await demo.wait() == 0, said.decode()
        assert await gone(children) == []
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
    assert b"Traceback" not in said, said.decode()
    sample = tmp_path / "home" / "demo" / "sample-1"
    assert "todo/commands.py" in git(sample, "ls-files")
