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
# # 2. Geometry
#
# The second of four meetings; rows 6 to 10 of the report. Features in superposition form shapes.
# Which, how can they be named, and what do correlations do to them?

# %%
import matplotlib.pyplot as plt
import numpy as np

import toymodels_np as tm

# %% [markdown]
# ## A feature's share of a dimension
#
# $D_i = \lVert W_i\rVert^2 / \sum_j (\hat W_i \cdot W_j)^2$ is 1 if a feature has a dimension to
# itself, and less if others reach into its direction. Exercise
# [07_dimensionality](../exercises/07_dimensionality.py) is this formula, and
# [08_rank](../exercises/08_rank.py) shows that all shares together are at most the rank of $W$.
#
# **Predict.** What is $D$ of each feature in a digon (two features back to back), in a regular
# pentagon, and in a tetrahedron?

# %%
for name, W in (("digon", tm.polytopes.digon()), ("pentagon", tm.polytopes.polygon(5)),
                ("tetrahedron", tm.polytopes.simplex(3))):
    print(f"{name:12} {tm.feature_dimensionality(W).round(4)}")

# %% [markdown]
# All three divide their dimensions evenly: 1/2, 2/5, 3/4.
#
# **Predict.** A triangular bipyramid has five corners in three dimensions. Has each of its features
# 3/5?

# %%
W = tm.polytopes.bipyramid(3)
figure = plt.figure(figsize=(10, 4))
tm.plots.geometry(W, ax=figure.add_subplot(1, 2, 1, projection="3d"))
tm.plots.dimensionality(W, ax=figure.add_subplot(1, 2, 2))
print(tm.name_geometry(W), tm.feature_dimensionality(W).round(4))

# %% [markdown]
# It falls into a triangle and a digon that are orthogonal to each other. Solutions of many features
# do the same, and `tm.name_geometry` takes them apart. Exercises
# [17_simplex](../exercises/17_simplex.py) and
# [18_name_a_geometry](../exercises/18_name_a_geometry.py) go that way on foot, and
# [09_interference](../exercises/09_interference.py) before them.
#
# ## Sticky fractions
#
# Twenty-four equal features, six dimensions, and models from dense to sparse.
#
# **Predict.** Draw $D_i$ of all features over $p$. Is it a cloud that moves evenly, or are there
# values that are taken again and again?

# %%
p = np.geomspace(1, 0.02, 18)
law = tm.Features(24, np.repeat(p[:, None], 24, axis=1))
start = tm.ReluOutput.init(24, 6, n_instances=len(p), seed=0)
settings = dict(batch_size=512, learning_rate=1e-2, schedule="cosine", progress=False)
trained = tm.train(start, law, steps=2500, **settings).model
panel = tm.plots.dimensionality(trained.W, at=-np.log10(p))
panel.set_xlabel("−log₁₀ p (dense to sparse)")
panel

# %%
for k in range(0, len(p), 3):
    print(f"p = {p[k]:.3f}: {tm.name_geometry(trained.W[k])}")

# %% [markdown]
# In the middle points gather at the fractions of shapes: features do not take any share that they
# might, they take a share of *something*. On the sparse side nobody is dropped any more, and all 24
# share the six dimensions about evenly, a quarter each. Where it says "irregular", training may
# have ended in a mere local minimum, or the minimum is no shape that the package knows.
#
# ## A pentagon under strain
#
# Make one of five features less important. The pentagon bends; at some point two digons without
# that feature are cheaper.
#
# **Predict.** Does the solution change smoothly from the one to the other?

# %%
def importance_of_last(v):
    return tm.Features(5, 0.05, [1, 1, 1, 1, v])

digon = tm.energies.antipodal(0.05)
W = np.hstack([np.kron(np.eye(2), [digon.norm, -digon.norm]), np.zeros((2, 1))])
digons = tm.ReluOutput(W, [digon.bias] * 4 + [0.025])
model = tm.ReluOutput(1.13 * tm.polytopes.polygon(5), np.full(5, -0.25))
values, curves = np.array([0.7, 0.6, 0.5, 0.42, 0.36, 0.32, 0.3]), {"pentagon": [], "2 digons": []}
for v in values:
    found = tm.find_minimum(importance_of_last(v), 2, initial=model, progress=False)
    model = found.model
    curves["pentagon"].append(found.loss)
    curves["2 digons"].append(tm.expected_loss(digons, importance_of_last(v)))
tm.plots.branches({name: (values[::-1], losses[::-1]) for name, losses in curves.items()},
                  parameter="importance of feature 4")

# %% [markdown]
# The energies cross at a finite angle, and on both sides of the crossing the loser is still a
# minimum. It is a phase change of first order, with hysteresis: what training finds depends on
# where it comes from. Exercise [14_pentagon](../exercises/14_pentagon.py) computes the pentagon's
# side, [13_mean_square](../exercises/13_mean_square.py) the formula that it rests on.
#
# ## Friends and rivals
#
# Four features in two sets of two. Members of a *correlated* set are always on together; of an
# *anticorrelated* set at most one is on.
#
# **Predict.** Two dimensions. Who stands at right angles, and who back to back? Think of what is
# on at the same time ([16_correlated](../exercises/16_correlated.py)).

# %%
sets = [(0, 1), (2, 3)]
laws = {"correlated": tm.Features(4, 0.1, correlated=sets),
        "anticorrelated": tm.Features(4, 0.1, anticorrelated=sets)}
figure, panels = plt.subplots(1, 2, figsize=(9, 4))
for (name, law), panel in zip(laws.items(), panels):
    found = tm.find_minimum(law, 2, starts=4, progress=False)
    tm.plots.geometry(found.model.W, ax=panel).set_title(f"{name}: {{0, 1}} and {{2, 3}}")
    G = tm.gram(found.model.W).round(3) + 0.0                   # + 0.0 makes -0.0 a plain 0
    print(f"{name:15} W_0·W_1 = {G[0, 1]:6.3f}, W_0·W_2 = {G[0, 2]:6.3f}, "
          f"W_0·W_3 = {G[0, 3]:6.3f}")

# %% [markdown]
# Friends stay out of each other's way: they are orthogonal, or nearly so, and each shares its axis
# with somebody of the *other* set. Rivals are never on together, so they may stand back to back for
# nothing.
#
# ## Local bases, and what comes out when there is no room
#
# Two correlated sets of five features in five dimensions.
#
# **Predict.** What does the block of one set in $W^\top W$ look like? And where do
# entries between the sets go?

# %%
blocks = tm.Features(10, 0.1, correlated=[tuple(range(5)), tuple(range(5, 10))])
start = tm.ReluOutput.init(10, 5, n_instances=6, seed=0)
models = tm.train(start, blocks, steps=4000, **settings).model
best = models[int(np.argmin([tm.estimate_loss(models[k], blocks, samples=2**12)[0]
                             for k in range(6)]))]
tm.plots.gram(best.W)

# %% [markdown]
# Each set has an orthogonal basis of its own for the whole space, and the two lie across each
# other. With too little room, and dense features, members of a set collapse into one direction,
# their principal component; sparse ones are told apart.
#
# **Predict.** Three pairs in two dimensions. Which shape for $p = 0.6$, and which for $p = 0.05$?

# %%
pairs = [(0, 1), (2, 3), (4, 5)]
for p in (0.6, 0.05):
    law = tm.Features(6, p, correlated=pairs)
    start = tm.ReluOutput.init(6, 2, n_instances=12, seed=0)
    models = tm.train(start, law, steps=3000, **settings).model
    losses = [tm.expected_loss(models[k], law) for k in range(12)]
    best = models[int(np.argmin(losses))]
    exact = tm.polish(best, law, progress=False)                # descends on the exact loss
    print(f"p = {p}: {exact.geometry}, "
          f"shares {tm.feature_dimensionality(exact.model.W).round(2)}")

# %% [markdown]
# A "triangle of 6" has two features at each of its three corners. Here they are the two members of
# a pair: when dense, each pair has become one direction. When sparse, all six are told apart.
#
# ## To take home
#
# - Solutions are products of shapes in orthogonal subspaces; a feature's share is its shape's.
# - The pentagon gives way at first order: two minima, one crossing, hysteresis.
# - Correlated features like right angles or one common direction, anticorrelated ones stand back to
#   back.
#
# At home: exercises 07 to 18, and chapters 7 and 8 of the book.
