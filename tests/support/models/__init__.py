"""Model endpoints on loopback that say what a test wrote down."""
