"""An agent that reports when it is not alone, by locks of the file system.

python soak_agent.py FOLDER LIMIT SEED [FAILURES]: the journal and the locks are in FOLDER; LIMIT
sessions may run at the same time in its run. It leaves a child process in a separate session, which holds
its locks as well: both processes must be ended. FAILURES is the share of attempts that fail,
0.1 if absent; the first attempt of a task called flaky always does.
"""

import fcntl
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

folder, limit, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
failures = float(sys.argv[4]) if len(sys.argv) > 4 else 0.1
run, epic, task, attempt = (os.environ[f"HEDDLE_{part}"] for part in ("RUN", "EPIC", "TASK", "ATTEMPT"))
name = f"{run}/{epic}/{task}/{attempt}"


def say(word: str) -> None:
    """Appends a line; short ones are never mixed with others'."""
    with (folder / "journal").open("a") as journal:
        journal.write(f"{word} {name}\n")


def locked(key: str) -> IO[str] | None:
    file = (folder / f"{run}.{key}").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


chance = random.Random(f"{seed} {name}")
held = locked(epic)
if held is None:
    say("overlap")
slot = next((found for number in range(limit) if (found := locked(f"slot{number}"))), None)
if slot is None:
    say("limit")
say("start")
if chance.random() < 0.5:
    kept = [each.fileno() for each in (held, slot) if each]
    subprocess.Popen(["sleep", "900"], cwd=folder, pass_fds=kept, start_new_session=True)
time.sleep(chance.uniform(0.02, 0.6))
Path(epic).mkdir(exist_ok=True)
(Path(epic) / f"{task}.txt").write_text(f"{name}\n")
if chance.random() < failures or (task == "flaky" and attempt == "1"):
    sys.exit("this attempt was to fail")
say("end")
