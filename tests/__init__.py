"""Tests, benchmarks and their support code."""

import os

# PostgreSQL is started as a separate user, for which Python calls fork. gRPC's fork handlers sometimes crash if
# gRPC has threads. gRPC reads this variable once, when it is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
