"""The write boundary: what an agent and its checks can see and write, enforced by bubblewrap."""
