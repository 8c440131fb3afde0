"""engine: the same, fast. A twin of `core/loop.py`, held to it by tests."""
