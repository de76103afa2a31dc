"""Paired statistics over queries: plain functions of arrays, with every draw from an explicit seed."""

import numpy as np

BLOCK_DRAWS = 4_000_000  # item draws held at a time: 32 MB


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p-value of McNemar's test (Psychometrika 1947; the binomial form, not the chi-squared one).

    `lost` and `gained`: pairs that were right only before, and only after. Under the null each is as likely as the
    other, whatever the pairs that did not change.
    """
    n, k = lost + gained, min(lost, gained)
    if n == 0:
        return 1.0
    log_factorial = np.r_[0.0, np.cumsum(np.log(np.arange(1, n + 1)))]
    i = np.arange(k + 1)
    log_terms = log_factorial[n] - log_factorial[i] - log_factorial[n - i] - n * np.log(2)
    return float(min(1.0, 2 * np.exp(log_terms).sum()))


def bootstrap(differences_QM: np.ndarray, cluster_Q: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """(draws, M) means of the differences over queries, each over clusters drawn with replacement.

    `differences_QM`: after minus before, of Q queries in M measures. `cluster_Q`: each query's item. Items are drawn
    and not queries, because photos of one garment succeed and fail together (cluster bootstrap, Field and Welsh 2007).
    """
    _, cluster = np.unique(cluster_Q, return_inverse=True)
    C = int(cluster.max()) + 1
    sums_CM = np.stack([np.bincount(cluster, d, minlength=C) for d in differences_QM.T], 1)
    sizes_C = np.bincount(cluster, minlength=C)
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_DRAWS // C)
    means = []
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = rng.integers(C, size=(rows, C)) + np.arange(rows)[:, None] * C
        times = np.bincount(drawn.ravel(), minlength=rows * C).reshape(rows, C).astype(np.float64)
        means.append(times @ sums_CM / (times @ sizes_C)[:, None])
    return np.concatenate(means)


def interval(means_D: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval that holds the share `level` of the bootstrapped means."""
    low, high = np.quantile(means_D, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_p(means_D: np.ndarray) -> float:
    """Two-sided p-value for a mean of zero: the level at which the percentile interval just touches it.

    Never below 2 / (draws + 1).
    """
    least = min((means_D <= ROUNDING).sum(), (means_D >= -ROUNDING).sum())
    return float(min(1.0, 2 * (least + 1) / (len(means_D) + 1)))


ROUNDING = 1e-12  # a bootstrapped mean nearer to zero than this is zero but for the order of its sum


def holm(p: list[float]) -> list[float]:
    """p-values made larger so that the chance of even one false alarm among them stays at the level (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled)) if len(p) else scaled
    return adjusted.tolist()


def wilson(hits: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval (JASA 1927) of a share of `hits` in `n` trials; (0, 1) where there are none."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float(max(0.0, centre - reach)), float(min(1.0, centre + reach))
