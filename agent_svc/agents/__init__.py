"""Programs that drive one agent each and speak drivers/protocol.py. They import no gRPC."""
