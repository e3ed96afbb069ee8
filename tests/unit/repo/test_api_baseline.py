"""Breaking changes of the contract are found: `make breaking` compares it with a recorded baseline."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.repo.files import ROOT

BUF = Path(sys.executable).parent / "buf"
BASELINE = ROOT / "protos" / "baseline.binpb"


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """Returns a copy of the contract."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    return tmp_path / "protos" / "heddle" / "v1"


def breaking(contract: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUF, "breaking", "--against", BASELINE],
        cwd=contract.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contract_keeps_what_the_baseline_has() -> None:
    """The committed contract does not break clients of the recorded one."""
    done = subprocess.run(
        [BUF, "breaking", "--against", BASELINE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("run.proto", "  string title = 2;\n", "", 'field "2" with name "title" on message "Run"'),
        ("run.proto", "string title = 2;", "string title = 99;", 'field "2" with name "title"'),
        ("run.proto", "string title = 2;", "int64 title = 2;", "changed type"),
        ("scheduler_service.proto", "rpc GetRun(", "rpc FetchRun(", 'RPC "GetRun"'),
    ],
)
def test_a_break_is_found(contract: Path, file: str, old: str, new: str, complaint: str) -> None:
    """A removed or renumbered field, a changed type and a renamed RPC each fail the comparison."""
    text = (contract / file).read_text(encoding="utf-8")
    assert old in text
    (contract / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    done = breaking(contract)
    assert done.returncode != 0
    assert complaint in done.stdout


def test_an_addition_is_no_break(contract: Path) -> None:
    """A new field does not require a new baseline."""
    path = contract / "run.proto"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("  string title = 2;", "  string note = 999;\n\n  string title = 2;", 1),
        encoding="utf-8",
    )
    done = breaking(contract)
    assert (done.returncode, done.stdout) == (0, "")
