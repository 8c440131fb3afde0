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
# # 3. Learning, attacks, and privileged bases
#
# The third of four meetings; rows 11 to 14 of the report. Until now we looked at where training
# ends. Now: how it gets there, what superposition costs under attack, and what a ReLU on the hidden
# layer does to single neurons.

# %%
import matplotlib.pyplot as plt
import numpy as np

import toymodels_np as tm

# %% [markdown]
# ## Loss curves with steps in them
#
# Two sets of three correlated features, three dimensions.
#
# **Predict.** Draw the loss over the logarithm of time. Does it fall smoothly?

# %%
law = tm.Features(6, 0.1, correlated=[(0, 1, 2), (3, 4, 5)])
start = tm.ReluOutput.init(6, 3, n_instances=3, seed=2)
small = tm.ReluOutput(0.1 * start.W, start.b + law.mean())
history = tm.train(small, law, steps=6000, batch_size=1024, learning_rate=1e-3, seed=2,
                   record_every=20, progress=False)
panel = tm.plots.history(history)
panel.set_xscale("log")
panel

# %% [markdown]
# It falls in steps. The shoulder near 0.033 is no accident: it is $4p/12$, the loss of a model that
# answers each set's mean (9.14), and the three runs pass it on their different ways. Noise hides
# the rest; so take it away.
# `tm.gradient_flow` follows $\dot\theta = -\nabla L$ with the exact loss, and looks for the saddle
# that each plateau belongs to. Adam's clock is another one, so times do not compare.
#
# **Predict.** At the first plateau the model represents nothing. In how many directions can it
# leave? (The *index* counts them. There are 3 × 6 weights.) The cell follows the smallest case, one
# pair of correlated features in one dimension: how many are they there?

# %%
two = tm.Features(2, 0.1, correlated=[(0, 1)])
flow = tm.gradient_flow(tm.ReluOutput([[1e-3, 0.9e-3]], 0.9 * two.mean()), two, t_final=1e3)
for plateau in flow.plateaus:
    print(f"from t = {plateau.start:.3g} to {plateau.end:.3g}: index {plateau.index}, "
          f"loss {plateau.saddle_loss:.6f}")
tm.plots.flow(flow)

# %% [markdown]
# Here are two weights and two ways out; with 18 weights there are 18. A model that starts ten times
# nearer to a saddle stays longer by a constant: the clock is logarithmic. Chapter 9 has the
# formula, and exercise [21_plateau](../exercises/21_plateau.py) computes a plateau and its saddle.
#
# **Predict.** The start is a hundred times smaller. By how much longer does the plateau last: by a
# factor of 100, or by a bit?

# %%
for scale in (1e-1, 1e-2, 1e-3):
    nearer = tm.gradient_flow(tm.ReluOutput([[scale, 0.9 * scale]], two.mean()), two, t_final=1e3)
    half = (nearer.losses[0] + nearer.losses[-1]) / 2
    reached = np.interp(-half, -nearer.losses, nearer.times)    # losses only fall
    print(f"start {scale:g}: half-way at t = {reached:.1f}")

# %% [markdown]
# By a bit: each factor of ten adds about $\log(10) / |\lambda| = 10.8$, where $\lambda$ is the
# steepest curvature of the saddle, (9.9) and (9.13).
#
# ## Energy jumps
#
# The geometry comes about in the same way. Twenty-four equal features and six dimensions, looked at
# every 100 steps.
#
# **Predict.** Draw $D_i$ of all features over the steps. Do they come to their places together, or
# one after another?

# %%
many = tm.Features(24, 0.3)
start, shown = tm.ReluOutput.init(24, 6, seed=4), []
history = tm.train(start, many, steps=100, batch_size=512, learning_rate=2e-3, progress=False)
for _ in range(16):
    shown.append(history.model.W)
    history = tm.resume(history, steps=100, progress=False)
panel = tm.plots.dimensionality(np.stack(shown), at=100 * np.arange(1, 17))
panel.set_xlabel("step")
print(tm.name_geometry(history.model.W))
panel

# %% [markdown]
# They begin as a cloud. Then one feature after another falls to 0, and the room that it leaves
# lets others rise, until pairs of them fill their dimensions: six digons. Row 11 of the report
# compares such jumps with those of the loss.
#
# ## What superposition costs under attack
#
# An adversary moves the input by a tenth of the mean length of an input, in the worst direction.
#
# **Predict.** Compare models trained on dense and on sparse features. Which is hurt more, and by
# which factor: 1.1, 2 or 5?

# %%
probabilities = np.array([1.0, 0.3, 0.1, 0.03])
for p in probabilities:
    law = tm.Features(24, p)
    start = tm.ReluOutput.init(24, 6, seed=0)
    model = tm.train(start, law, steps=2000, batch_size=512, learning_rate=1e-2,
                     schedule="cosine", progress=False).model
    hurt = float(tm.vulnerability(model, law, samples=500))
    print(f"p = {p:4}: {1 / tm.dimensions_per_feature(model.W):.2f} features a dimension, "
          f"vulnerability {hurt:.2f}")

# %% [markdown]
# Vulnerability rises faster than the number $\lambda$ of features per dimension. For a clean
# packing it should lie between $\lambda$ and $\lambda^2$ (chapter 10); what was wrong before adds
# to it, as at p = 0.3. Exercise [25_attack](../exercises/25_attack.py) is the paper's attack.
#
# **Talk.** Is superposition *the* cause of adversarial examples? What would have to be true of a
# real network for this to be the explanation?
#
# ## A basis that means something
#
# Rotate the hidden space of a `ReluOutput` model: nobody notices. With a ReLU on the hidden layer
# the axes become neurons. Exercise [10_rotation](../exercises/10_rotation.py) tries both.
#
# **Predict.** Ten features, five neurons. Will a neuron serve one feature, or several, for dense
# features? For sparse ones? Can both kinds live in one model?

# %%
figure, panels = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
for p, panel in zip((0.75, 0.25, 0.04), panels):
    law = tm.Features(10, p, 0.75 ** np.arange(10))
    start = tm.ReluHidden.init(10, 5, n_instances=8, seed=0)
    models = tm.train(start, law, steps=2000, batch_size=128, learning_rate=1e-2,
                      schedule="cosine", progress=False).model
    losses = models.loss(law.sample(np.random.default_rng(0), 20_000, dtype=np.float32), law)
    best = models[int(losses.argmin())]
    tm.plots.stack(best, ax=panel).set_title(f"p = {p}")
    print(f"p = {p}: monosemanticity {np.sort(tm.monosemanticity(best))[::-1].round(2)}")

# %% [markdown]
# Blue neurons serve one feature, hatched ones several. In the middle both kinds live together, and
# it is the most important features that have a neuron to themselves. Exercise
# [22_monosemantic](../exercises/22_monosemantic.py) tells the two kinds apart.
#
# ## To take home
#
# - Plateaus are saddles that training passes; their length is a logarithm.
# - Superposition can be exploited: vulnerability grows faster than features per dimension.
# - A privileged basis makes monosemantic neurons *possible*; sparsity then undoes them.
#
# At home: exercises 21, 22 and 25; chapters 9 to 11 of the book.
