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
# # 1. Why superposition
#
# The first of four meetings; rows 1 to 5 of the report. A model has fewer dimensions than there are
# features to keep. When does it keep more features than it has dimensions, and what does it pay?
#
# Before each result there is a question. Write an answer down, even a bad one, before you run the
# cell: what surprises you is what you learn. All of this runs in half a minute.

# %%
import matplotlib.pyplot as plt
import numpy as np

import toymodels_np as tm

# %% [markdown]
# ## Sparse features
#
# A feature is a number between 0 and 1 that is usually 0. It is on with probability $p$, and then
# it is uniform. Chapter 1 of the book writes this law down; exercises
# [01_sampler](../exercises/01_sampler.py) and [02_moments](../exercises/02_moments.py) ask you to
# draw from it and to find its mean and its variance.

# %%
features = tm.Features(n_features=5, feature_probability=0.3)
x = features.sample(np.random.default_rng(0), batch_size=6)
x.round(2)

# %% [markdown]
# ## Five features, two dimensions
#
# The model squeezes $x$ into two numbers, $h = Wx$, and answers $x' = \mathrm{relu}(W^\top h + b)$.
# Column $i$ of $W$ is the direction that feature $i$ has in the plane. Exercise
# [03_forward](../exercises/03_forward.py) is this line, [04_loss](../exercises/04_loss.py) is what
# it is trained on, and [05_backward](../exercises/05_backward.py) and
# [06_tied_weight](../exercises/06_tied_weight.py) are how.
#
# **Predict.** Five directions in a plane. The features are equally frequent, and feature 0 is the
# most important one, feature 4 the least. Sketch the five arrows for $p = 1$ (dense), $p = 0.3$
# and $p = 0.05$ (sparse).

# %%
probabilities = np.array([1.0, 0.3, 0.05])
law = tm.Features(5, np.repeat(probabilities[:, None], 5, axis=1), 0.9 ** np.arange(5))
start = tm.ReluOutput.init(5, 2, n_instances=3, seed=1)
history = tm.train(start, law, steps=3000, batch_size=512, learning_rate=3e-2, schedule="cosine",
                   seed=1, progress=False)
figure, panels = plt.subplots(1, 3, figsize=(12, 4))
for W, p, panel in zip(history.model.W, probabilities, panels):
    tm.plots.geometry(W, ax=panel).set_title(f"p = {p}")

# %% [markdown]
# When features are dense, the two most important ones get orthogonal directions, and the other
# three are given up. As features get sparse, two by two share an axis, back to back, and in the
# end all five have a direction: a pentagon. The model then answers with interference, which is
# *superposition*. (Only the angles between the arrows mean something: the plane may be turned.)
#
# **Talk.** Why back to back, and not side by side?
#
# ## Is it the ReLU?
#
# **Predict.** Take 20 features of falling importance and 5 dimensions, and train three models: a
# linear one on sparse features, and one with a ReLU on dense and on sparse features. In which of
# them are there more than five bright squares on the diagonal of $W^\top W$?

# %%
importance = 0.7 ** np.arange(20)
settings = dict(steps=3000, batch_size=512, learning_rate=1e-2, schedule="cosine", progress=False)
models = {}
for name, kind, p in (("linear, p = 0.01", tm.Linear, 0.01), ("ReLU, p = 1", tm.ReluOutput, 1.0),
                      ("ReLU, p = 0.01", tm.ReluOutput, 0.01)):
    start = kind.init(20, 5, seed=0)
    models[name] = tm.train(start, tm.Features(20, p, importance), **settings).model
figure, panels = plt.subplots(1, 3, figsize=(13, 4))
for (name, model), panel in zip(models.items(), panels):
    tm.plots.gram(model.W, colorbar=False, ax=panel).set_title(name)

# %%
for name, model in models.items():
    kept = int((tm.norms(model.W) > 0.5).sum())
    print(f"{name:18} keeps {kept} features in 5 dimensions")

# %% [markdown]
# The linear model keeps the five most important features however sparse they are, which is what
# principal components do. Only the model with a ReLU makes use of sparsity.
#
# ## The door
#
# Why does a ReLU help? Two features, one dimension, $W = (1, w)$, and the one sample
# $x = (1, 0)$. Output 1 should be 0. It is $w$ in the linear model, and $\mathrm{relu}(w)$ with a
# ReLU.
#
# **Predict.** For which $w$ is the loss of this sample 0 in each of the models?

# %%
pair = tm.Features(2, 0.1)
for w in (-1.0, -0.5, 0.0, 0.5):
    losses = [float(kind([[1, w]], [0, 0]).loss([[1, 0]], pair))
              for kind in (tm.Linear, tm.ReluOutput)]
    print(f"w = {w:4}: linear {losses[0]:.2f}, with a ReLU {losses[1]:.2f}")

# %% [markdown]
# A negative gain is cut off and costs nothing, as long as one feature is on alone. The price comes
# when both are on. Exercises [11_dropped_feature](../exercises/11_dropped_feature.py) and
# [12_antipodal_pair](../exercises/12_antipodal_pair.py) compute the two sides of the bargain; the
# package has them in closed form.
#
# **Predict.** A pair costs something like $p^2$, a dropped feature something like $p$. Where is
# the pair cheaper than one feature kept and one dropped: for small $p$, or for large?

# %%
for p in (1.0, 0.75, 0.5, 0.2, 0.05, 0.01):
    together, dropped = tm.energies.antipodal(p).loss, tm.energies.dropped(p).loss
    print(f"p = {p:4}: the pair {together:.5f}, one kept and one dropped {dropped:.5f}, "
          f"ratio {together / dropped:.3f}")

# %% [markdown]
# The pair is never the dearer one, and the sparser the features, the more it saves. For dense
# features the two cost the same.
#
# ## When it changes: phase diagrams
#
# Two features, one dimension. The second feature has another importance. Each cell of the map is a
# true minimum of the exact loss, not a training run.
#
# **Predict.** There are three regions: the second feature is not learned, it is alone, or both
# are in superposition. Where do they lie, and what happens to the third for sparse features?

# %%
diagram = tm.phase_diagram(2, 1, importance=np.geomspace(0.1, 10, 7),
                           feature_probability=np.geomspace(0.02, 1, 6), progress=False)
tm.plots.phase(diagram)

# %% [markdown]
# Superposition fills the sparse side, on the right, and gets wider and wider. The paper compares
# three fixed candidates, one for each region, with norms that are given. A dot marks a cell
# where the true minimum is of another kind than the best of the three. Exercise
# [15_phase_boundary](../exercises/15_phase_boundary.py) draws the boundaries of the candidates,
# which are near these and not the same:

# %%
tm.plots.phase(diagram, candidates=True)

# %% [markdown]
# ## To take home
#
# - Superposition needs a nonlinearity *and* sparsity. It is a bargain: $p$ against $p^2$.
# - Interference of the negative sign is free for a ReLU, so features stand back to back.
# - Whether it happens changes along a line, as a phase does: at once where features are sparse,
#   little by little where they are dense (chapter 6).
#
# At home: exercises 01 to 06, [19_gradient_check](../exercises/19_gradient_check.py) and
# [20_adam](../exercises/20_adam.py), and chapters 1 to 3 of the book (`make book`).
