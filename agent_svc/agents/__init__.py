"""The agents that Heddle can start. Each has a folder with its kind, driver and host; none imports gRPC."""
