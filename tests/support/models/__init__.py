"""Model endpoints on loopback that give the answers of a test."""
