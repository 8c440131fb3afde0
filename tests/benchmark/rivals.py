"""The training loop as a user would write it in PyTorch, eager and compiled, and in JAX: the same
work, dense sampling.

Each rival is made from a model of toymodels_np, starts from its weights, and has `run(steps)` and
`model()`, what it has become. Features have one probability for all, or one row an instance.
Sampling is dense and masked, gradients are automatic, the optimiser is AdamW without decay, as in
the paper's notebook; the loss is the sum over features. PyTorch has both orders of axes: instances
leading, and instances second, as in the notebook.
"""

import numpy as np

import toymodels_np as tm


class Torch:
    """Eager PyTorch: einsum, autograd, torch.optim.AdamW. Instances are the leading axis."""

    name, letters = "PyTorch", "kb"

    def __init__(self, model, features, batch_size, learning_rate, seed=0):
        import torch
        torch.manual_seed(seed)
        self.torch, self.cls, self.batch_size = torch, type(model), batch_size
        self.parameters = [torch.nn.Parameter(torch.tensor(a)) for a in model.parameters]
        self.batch_axis = self.letters.index("b")
        self.probability, self.importance = (self._row(a) for a in (features.feature_probability,
                                                                    features.importance))
        k, n = *model.instances, model.n_features
        self.signed, self.shape = features.signed, tuple(dict(k=k, b=batch_size)[axis]
                                                         for axis in self.letters) + (n,)
        self.optimiser = torch.optim.AdamW(self.parameters, lr=learning_rate, weight_decay=0.0)
        self.loss = self._loss

    def _row(self, a):
        """(n,) or (k, n) as the tensor that batches are compared with."""
        a = self.torch.tensor(a, dtype=self.torch.float32)
        return a if a.ndim < 2 else a.unsqueeze(self.batch_axis)

    def _loss(self):
        torch, axes = self.torch, self.letters
        x = torch.rand(self.shape)
        if self.signed:
            x = 2 * x - 1
        x = torch.where(torch.rand(self.shape) < self.probability, x, torch.zeros(()))
        W, *_, b = self.parameters
        h = torch.einsum(f"{axes}n,kmn->{axes}m", x, W)
        if self.cls in (tm.ReluHidden, tm.AbsoluteValue):
            h = torch.relu(h)
        if self.cls is tm.AbsoluteValue:
            y = torch.einsum(f"{axes}m,knm->{axes}n", h, self.parameters[1])
        else:
            y = torch.einsum(f"{axes}m,kmn->{axes}n", h, W)
        y = torch.relu(y + b.unsqueeze(self.batch_axis))
        target = x.abs() if self.signed else x
        error = (self.importance * (target - y) ** 2).sum(-1)
        return error.mean(self.batch_axis).sum()

    def run(self, steps, schedule=None):
        for step in range(steps):
            if schedule:
                self.optimiser.param_groups[0]["lr"] = schedule(step)
            self.optimiser.zero_grad(set_to_none=True)
            self.loss().backward()
            self.optimiser.step()

    def model(self):
        return self.cls(*(a.detach().numpy().copy() for a in self.parameters))


class TorchSecond(Torch):
    """The same with instances in the second axis, as in the paper's notebook."""

    name, letters = "PyTorch, notebook", "bk"


class _Compiled:
    """Sampling, forward and backward pass compiled by torch.compile, and the fused optimiser."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        learning_rate = self.optimiser.defaults["lr"]
        self.optimiser = self.torch.optim.AdamW(self.parameters, lr=learning_rate, weight_decay=0.0,
                                                fused=True)
        self.torch._dynamo.reset()
        self.loss = self.torch.compile(self._loss)


class TorchCompiled(_Compiled, Torch):
    """torch.compile with instances leading."""

    name = "torch.compile"


class TorchSecondCompiled(_Compiled, TorchSecond):
    """torch.compile with instances in the second axis."""

    name = "torch.compile, notebook"


class Jax:
    """JAX: the whole step, sampling and AdamW included, in one jitted function whose arguments are
    donated.
    """

    name = "JAX"

    def __init__(self, model, features, batch_size, learning_rate, seed=0):
        import jax
        import jax.numpy as jnp
        self.jax, self.cls = jax, type(model)
        p, importance = (jnp.asarray(a if a.ndim < 2 else a[:, None], jnp.float32)
                         for a in (features.feature_probability, features.importance))
        signed, shape, cls = features.signed, (*model.instances, batch_size,
                                               model.n_features), type(model)

        def loss(parameters, key):
            values, on = jax.random.split(key)
            x = jax.random.uniform(values, shape, minval=-1.0 if signed else 0.0)
            x = jnp.where(jax.random.uniform(on, shape) < p, x, 0.0)
            W, *_, b = parameters
            h = jnp.einsum("kbn,kmn->kbm", x, W)
            if cls in (tm.ReluHidden, tm.AbsoluteValue):
                h = jax.nn.relu(h)
            y = jnp.einsum("kbm,knm->kbn", h, parameters[1]) if cls is tm.AbsoluteValue else \
                jnp.einsum("kbm,kmn->kbn", h, W)
            y = jax.nn.relu(y + b[:, None])
            return (importance * ((jnp.abs(x) if signed else x) - y) ** 2).sum(-1).mean(-1).sum()

        def step(parameters, mean, square, t, key):
            key, now = jax.random.split(key)
            gradients = jax.grad(loss)(parameters, now)
            t = t + 1
            mean = [0.9 * m + 0.1 * g for m, g in zip(mean, gradients)]
            square = [0.999 * v + 0.001 * g * g for v, g in zip(square, gradients)]
            parameters = [a - learning_rate / (1 - 0.9**t) * m
                          / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
                          for a, m, v in zip(parameters, mean, square)]
            return parameters, mean, square, t, key

        self.step = jax.jit(step, donate_argnums=(0, 1, 2, 3, 4))
        parameters = [jnp.array(a) for a in model.parameters]
        zeros = lambda: [jnp.zeros_like(a) for a in parameters]
        self.state = parameters, zeros(), zeros(), jnp.zeros(()), jax.random.key(seed)

    def run(self, steps):
        for _ in range(steps):
            self.state = self.step(*self.state)
        self.jax.block_until_ready(self.state)

    def model(self):
        return self.cls(*map(np.asarray, self.state[0]))
