"""The agents that Heddle can start, one folder each: kind, driver and host. They import no gRPC."""
