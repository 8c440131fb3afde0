"""rows: the figures of the paper's experiments, a file each, named like the experiment's.

Each has `figure(...)`: arrays in, a Figure out; nothing is computed.
"""
