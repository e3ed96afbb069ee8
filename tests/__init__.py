"""Tests, benches and what they stand on."""

import os

# PostgreSQL is started as a user of its own, for which Python forks in earnest; gRPC's part in that crashes now and
# then where gRPC has threads. It reads this once, when it is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
