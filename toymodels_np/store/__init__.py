"""store: keep it. Files that are whole or absent, runs of training, sweeps that go on."""
