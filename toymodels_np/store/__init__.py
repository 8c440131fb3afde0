"""store: keep it. Files that are whole or absent, runs of training, and sweeps that go on where they were stopped."""
