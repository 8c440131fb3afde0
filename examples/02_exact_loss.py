"""The exact loss beside Monte Carlo: error bars that shrink like 1/sqrt(N) onto one line.

Twenty features of falling importance in five dimensions. The loss of a trained model is computed
exactly, and estimated from N random samples as everyone does, and from quasi-random samples
stratified by how many are active.
"""

import time

import common
import numpy as np
from tqdm.auto import tqdm

import toymodels_np as tm

N, M, P = 20, 5, 0.05                               # features, hidden dimensions, probability
IMPORTANCE = 0.7 ** np.arange(N)
STEPS, BATCH, RATE = 1500, 512, 0.005               # training
SAMPLES = (10**2, 10**3, 10**4, 10**5, 10**6)       # where the running estimates are read off
FULL = (*SAMPLES, 10**7)
QUASI = (2**10, 2**12, 2**14, 2**16, 2**18)         # stratified, quasi-random
SEEDS = 6                                           # independent Monte Carlo runs
BLOCK = 20_000                                      # samples drawn at once
RTOL = 1e-10                                        # of the exact loss


def trained(features, seed):
    """A trained ReluOutput model, float64."""
    history = tm.train(tm.ReluOutput.init(N, M, seed=seed), features, steps=STEPS,
                       batch_size=BATCH, learning_rate=RATE, schedule="cosine", seed=seed,
                       record_every=STEPS)
    return history.model.astype(np.float64)


def monte_carlo(model, features, samples, seed):
    """(mean, standard error) after each of `samples`, (S, 2), and the standard deviation."""
    rng = np.random.default_rng(seed)
    count, total, squares, rows = 0, 0.0, 0.0, []
    with tqdm(total=samples[-1], desc="Monte Carlo", unit="sample", unit_scale=True, delay=2,
              leave=False, disable=None) as bar:
        for stop in samples:
            while count < stop:
                x = features.sample(rng, min(BLOCK, stop - count))
                residual = model.forward(x) - features.target(x)
                losses = residual**2 @ features.importance                              # (B,)
                count, total = count + len(x), total + losses.sum()
                squares += (losses**2).sum()
                bar.update(len(x))
            deviation = np.sqrt((squares - total**2 / count) / (count - 1))
            rows.append((total / count, deviation / count**0.5))
    return np.array(rows), deviation


def timed(function):
    """The function's result, and the seconds that it took."""
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def table(exact, samples, mean, error, quasi, quasi_error):
    """Print the estimates of the first run, how far off all are, and the quasi-random ones."""
    z = (mean - exact) / error
    print(f"{'N':>10}  {'estimate':>10} {'error bar':>10}  relative  "
          f"z = (estimate - exact) / error bar, {SEEDS} runs")
    for j, count in enumerate(samples):
        print(f"{count:>10.0e}  {mean[0, j]:>10.7f} {error[0, j]:>10.7f} "
              f"{error[0, j] / exact:>9.2%}  " + " ".join(f"{value:+6.2f}" for value in z[:, j]))
    print("quasi-random, stratified:")
    for count, value, bar in zip(QUASI, quasi, quasi_error):
        print(f"{count:>10.0e}  {value:>10.7f} {bar:>10.7f} {bar / exact:>9.2%}  "
              f"{(value - exact) / bar:+6.2f}")
    print("at the smallest N most runs miss the rare large losses: their estimates and their error "
          "bars are too small")
    return z


def main(arguments=None):
    parser = common.parser(__doc__, "python examples/02_exact_loss.py --seed 1",
                           full=f"Monte Carlo up to {FULL[-1]:.0e} samples, not {SAMPLES[-1]:.0e}")
    options = common.parse(parser, arguments)
    samples = np.array(FULL if options.full else SAMPLES)
    features = tm.Features(N, P, IMPORTANCE)
    model = trained(features, options.seed)
    exact, seconds = timed(lambda: tm.expected_loss(model, features, rtol=RTOL))
    found, spent = timed(lambda: [monte_carlo(model, features, samples, (options.seed, i))
                                  for i in range(SEEDS)])
    runs, deviations = zip(*found)
    mean, error = np.moveaxis(runs, -1, 0)                                          # (SEEDS, S)
    quasi, quasi_error = np.transpose([
        tm.estimate_loss(model, features, samples=k, seed=options.seed) for k in QUASI])

    print(f"n = {N}, m = {M}, p = {P}, importance {IMPORTANCE[1]:g}^i, seed {options.seed}: "
          f"a model after {STEPS} training steps")
    print(f"exact loss {exact:.12f}, to {RTOL:g} of it, in {1e3 * seconds:.0f} ms")
    z = table(exact, samples, mean, error, quasi, quasi_error)
    deviation, rate = float(np.mean(deviations)), SEEDS * samples[-1] / spent
    needed = (deviation / (RTOL * exact)) ** 2
    print(f"one sample has a standard deviation of {deviation / exact:.2f} losses; Monte Carlo "
          f"would need {needed:.1e} samples\nfor an error bar of {RTOL:g} of the loss: "
          f"{needed / rate / 3.156e7:.0e} years at {rate:.1e} samples a second")

    figure = tm.plots.exact_loss(exact, RTOL, seconds, samples, mean, error, deviation,
                                 np.array(QUASI), quasi, quasi_error)
    record = {"n": N, "m": M, "p": P, "importance": IMPORTANCE, "seed": options.seed,
              "W": model.W, "b": model.b, "exact_loss": exact, "rtol": RTOL,
              "exact_seconds": seconds, "samples": samples, "mean": mean,
              "standard_error": error, "z": z, "standard_deviation": deviation,
              "samples_needed": needed, "samples_a_second": rate, "quasi_samples": QUASI,
              "quasi_mean": quasi, "quasi_error": quasi_error}
    for path in common.write(figure, record, options.out / "exact_loss"):
        print("wrote", path)


if __name__ == "__main__":
    main()
