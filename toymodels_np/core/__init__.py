"""core: train it. Features, four models with hand-written gradients, Adam and the training loop."""
