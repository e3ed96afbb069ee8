"""What servers and clients of gRPC share: channels, interceptors, limits, metrics."""
