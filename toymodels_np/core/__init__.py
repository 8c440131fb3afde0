"""core: train it. Features, the four models, their hand-written gradients, Adam and the training loop."""
