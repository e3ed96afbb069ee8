"""The seed of tests that choose at random."""

import os
from typing import Final

# A suite that tried something else each time would sometimes fail for a change that is not to blame.
# HEDDLE_SEED tries other choices, such as those of a failure.
SEED: Final = int(os.environ.get("HEDDLE_SEED", "1"))
IS_GIVEN: Final = "HEDDLE_SEED" in os.environ
