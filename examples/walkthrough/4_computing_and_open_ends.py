# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: "1.3"
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Computing in superposition, and open ends
#
# The last of four meetings; rows 15 to 17 of the report, then what can be known exactly, and what
# nobody knows.

# %%
import numpy as np

import toymodels_np as tm

# %% [markdown]
# ## Computing, not only storing
#
# The model is to answer $|x|$ of signed features, $y' = \mathrm{relu}(W_2\,\mathrm{relu}(W_1 x) +
# b)$.
#
# **Predict.** How many neurons does $|x|$ of *one* feature need? With which weights?

# %%
exact = tm.AbsoluteValue([[1.0], [-1.0]], [[1.0, 1.0]], [0.0])
exact.forward([[-0.7], [0.0], [0.4]]).ravel()

# %% [markdown]
# $|x| = \mathrm{relu}(x) + \mathrm{relu}(-x)$: two neurons, one for each side. Exercise
# [23_absolute_value](../exercises/23_absolute_value.py) writes it down, for one feature.
#
# **Predict.** Three features and six neurons, that is just enough room. Will training find this
# solution? And what will six features do with the same six neurons, if they are sparse?

# %%
best = {}
for n, p in ((3, 0.5), (6, 0.05)):
    law = tm.Features(n, p, 0.8 ** np.arange(n), signed=True)
    start = tm.AbsoluteValue.init(n, 6, n_instances=16, seed=0)
    models = tm.train(start, law, steps=4000, batch_size=256, learning_rate=1e-2,
                      schedule="cosine", progress=False).model
    x = law.sample(np.random.default_rng(0), 20_000, dtype=np.float32)
    best[n] = models[int(models.loss(x, law).argmin())]
    sides = (tm.served_features(best[n]) != 0).sum(axis=1)
    print(f"{n} features, p = {p}: sides served by each neuron {sorted(sides.tolist())}")
tm.plots.stack(best[3])

# %%
tm.plots.stack(best[6])

# %% [markdown]
# With room enough a neuron does one side of one feature. Without it most neurons do several, and
# the model *computes* in superposition. A number in a bar is a feature that the neuron reads.
# Colours say what it serves: blue is for one side, hatched for several. A blue one may read more
# features than it serves, since what it writes counts, too.
#
# ## The asymmetric motif
#
# One neuron serves two features, unequally: it reads $a$ with 2 and writes it with 1/2, and the
# other way round for $b$. So $a$ disturbs output $b$ by 4, and $b$ disturbs $a$ by 1/4. Another
# neuron, which is on with $a$ too, takes the large disturbance back.
#
# **Predict.** Why not 1 and 1, with two disturbances of 1?

# %%
model = tm.AbsoluteValue([[2, -0.5], [1, 0], [-1, 0], [0, 1]], [[0.5, 0, 1, 0], [2, -4, 0, 1]],
                         [0, 0])
found, = tm.asymmetric_motifs(model)
tm.plots.motif(model, found)

# %% [markdown]
# The figure gives every neuron a largest input weight of 1, so that the output weights change with
# it: 2 times 2 is shown as 1 times 4. Only the products mean something.
#
# Inhibition is free where a ReLU cuts it off. One large disturbance can be taken back by one
# neuron, and what is left is small. Exercise
# [24_asymmetric_motif](../exercises/24_asymmetric_motif.py) builds one.
#
# **Predict.** What happens to the loss when the inhibition of −4 is cut to 0?

# %%
law = tm.Features(2, 0.2, signed=True)
for weight in (-4, -2, 0):
    W2 = model.W2.copy()
    W2[1, 1] = weight
    changed = tm.AbsoluteValue(model.W1, W2, model.b)
    mean, error = tm.estimate_loss(changed, law, samples=2**14)
    print(f"inhibition {weight:2}: loss {mean:.4f} ± {error:.4f}")

# %% [markdown]
# ## What can be known exactly
#
# So far we trained and looked. For a model with a linear hidden layer the loss itself can be
# computed, without any sample.
#
# **Predict.** How many samples does it take until the mean loss of a batch has four digits right?

# %%
features = tm.Features(5, 0.05)
pentagon = tm.ReluOutput(1.13 * tm.polytopes.polygon(5), np.full(5, -0.25))
truth = tm.expected_loss(pentagon, features)
for samples in (10**3, 10**4, 10**5, 10**6):
    x = features.sample(np.random.default_rng(1), samples)
    print(f"{samples:8} samples: {float(pentagon.loss(x, features)):.7f}")
print(f"   exact: {truth:.7f}")

# %% [markdown]
# A million samples still err in the third digit. The error falls like one over the square root, so
# four digits want about $10^9$; the exact number takes milliseconds. And one can descend on it,
# from many starts, to a minimum to all digits:

# %%
minimum = tm.find_minimum(features, 2, starts=6, progress=False)
print(minimum.geometry, f"loss {minimum.loss:.10f}", "local minimum:", minimum.is_local_minimum)
print(f"in closed form {tm.energies.polygon(5, 0.05).loss:.10f}")

# %% [markdown]
# Two ways that share no code agree to ten digits. `tm.certify` goes further and proves, in interval
# arithmetic, that a minimum is one (extra `certify`); chapters 4, 5 and 13 say how.
#
# **Predict.** Make one of the five features less important, until two digons without it are as
# cheap as the bent pentagon. By which factor: 1.1, 2.7 or 10?

# %%
def law_of(v):
    return tm.Features(5, 0.05, [1, 1, 1, 1, v])

digon = tm.energies.antipodal(0.05)
W = np.hstack([np.kron(np.eye(2), [digon.norm, -digon.norm]), np.zeros((2, 1))])
digons = tm.ReluOutput(W, [digon.bias] * 4 + [0.025])
start = tm.find_minimum(law_of(0.37), 2, initial=minimum.model, progress=False)
point = tm.critical_point(start, digons, tm.Parameter(law_of, 0.366, 0.37))
print(f"the energies cross at importance {point.value:.9f}, "
      f"which is {1 / point.value:.4f} times less important")

# %% [markdown]
# In the frequency of the feature the same crossing is at 3.716 (chapter 5). The paper says "about
# 2.5 times less frequent"; there the pentagon is still cheaper by a sixth.
#
# ## Open ends
#
# Nobody in the room will know the answers, and each of them can be worked on with this package.
#
# 1. **Which shapes are the minima?** For more features than a simplex has and more than three
#    dimensions, most sparse minima are "irregular". Is there an order in them that we cannot name?
# 2. **Is it the global minimum?** `tm.certify_global` looks for a proof for one hidden dimension
#    and at most four independent features. With two it takes seconds, with three none was finished
#    (chapter 13). What would it take for two dimensions?
# 3. **Does training find it?** How often, and does the answer get worse as models get larger?
# 4. **What does hysteresis do to real training**, in which the data change slowly?
# 5. **How do correlations of real features look**, and which of the shapes survive them?
# 6. **How much can be computed in superposition?** The motif saves one neuron. Is there a bound?
#
# **Talk.** Choose one, and write down the first experiment: what would you measure, what would
# surprise you, and which control would have to fail?
#
# `examples/your_own_model.py` trains a model that the package does not know. Start there.
