"""The best pairs of features for the saliency map attack, in bounded memory."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

DIRECTIONS = ((1.0, 1.0), (3.0, 1.0), (1.0, 3.0), (1.0, 0.0), (0.0, 1.0))
"""Weights of rise and fall by which the first candidates are selected."""


def best_pairs(
    rise: Float[Array, " n"],
    fall: Float[Array, " n"],
    free: Bool[Array, " n"],
    count: int,
    candidates: int,
) -> tuple[Int[Array, "{count} 2"], Bool[Array, "{count}"]]:
    r"""Finds pairs p, q of free features with the largest product of their sums.

    It maximises $R F$ with $R = r_p + r_q > 0$ and $F = f_p + f_q > 0$; further pairs are the best
    of the features that are left. With at most `candidates` features all pairs are looked at. Else
    a first search over some of the steepest features finds a pair with the sums $(R, F)$, and the
    candidates are those with the largest $s_i = F r_i + R f_i$. For every better pair, by the
    inequality of arithmetic and geometric means, $s_p + s_q > 2 R F$: if the last candidate has
    $s < 2 R F - \max s$, all better pairs were looked at, and the result is that of a full search.

    Args:
      rise: What a feature adds to the wanted class.
      fall: What it takes from all other classes.
      free: Whether it may be changed.
      count: How many pairs are wanted.
      candidates: How many features all pairs of which are looked at, at least `2 * count`.

    Returns:
      Pairs of features, the best first, and whether each satisfies R > 0 and F > 0.

    >>> rise, fall = jnp.array([3.0, 1.0, -1.0, 2.0]), jnp.array([-1.0, 2.0, 4.0, 0.0])
    >>> print(*best_pairs(rise, fall, jnp.ones(4, bool), 1, 4))
    [[0 2]] [ True]
    """
    size = rise.size
    if size <= candidates:
        features = jnp.arange(size)
    else:
        features = _select(rise, fall, free, candidates)
    scores = _products(rise, fall, free, features)

    def pick(left, _):
        pair, best = _highest(scores, left)
        return left.at[pair].set(False), (features[pair], best > -jnp.inf)

    return jax.lax.scan(pick, jnp.ones(features.size, bool), length=count)[1]


def _select(
    rise: Float[Array, " n"], fall: Float[Array, " n"], free: Bool[Array, " n"], count: int
) -> Int[Array, " {count}"]:
    """Returns the features among which the best pair is looked for."""
    steepness = jnp.stack([rise / _peak(rise, free), fall / _peak(fall, free)])
    share = max(1, count // len(DIRECTIONS))
    weights = jnp.array(DIRECTIONS)
    ranks = jnp.where(free[None], weights @ steepness, -jnp.inf)
    first = jax.lax.top_k(ranks, min(share, rise.size))[1].ravel()
    scores = _products(rise, fall, free, first)
    place, best = _highest(scores, jnp.ones(first.size, bool))
    pair, found = first[place], best > -jnp.inf
    of_pair = jnp.where(found, rise[pair].sum(), _peak(rise, free))
    fall_of_pair = jnp.where(found, fall[pair].sum(), _peak(fall, free))
    rank = jnp.where(free, fall_of_pair * rise + of_pair * fall, -jnp.inf)
    rank = jnp.where(found, rank.at[pair].set(jnp.inf), rank)  # the pair itself stays in the race
    return jax.lax.top_k(rank, count)[1]


def _products(
    rise: Float[Array, " n"],
    fall: Float[Array, " n"],
    free: Bool[Array, " n"],
    features: Int[Array, " m"],
) -> Float[Array, "m m"]:
    """Returns the products of all pairs of features, -inf where a pair does not qualify."""
    rises = rise[features][:, None] + rise[features][None]
    falls = fall[features][:, None] + fall[features][None]
    both = free[features][:, None] & free[features][None]
    ordered = features[:, None] < features[None]  # every pair once, none with itself
    return jnp.where(both & ordered & (rises > 0) & (falls > 0), rises * falls, -jnp.inf)


def _highest(
    scores: Float[Array, "m m"], left: Bool[Array, " m"]
) -> tuple[Int[Array, "2"], Float[Array, ""]]:
    """Returns the row and column of the highest score among the rows and columns that are left.

    By the maximum of each row first: on CPU a maximum is many times faster than an argmax.
    """
    both = left[:, None] & left[None]
    row = jnp.argmax(jnp.max(jnp.where(both, scores, -jnp.inf), axis=1))
    columns = jnp.where(left, scores[row], -jnp.inf)
    column = jnp.argmax(columns)
    return jnp.stack([row, column]), jnp.where(left[row], columns[column], -jnp.inf)


def _peak(values: Float[Array, " n"], free: Bool[Array, " n"]) -> Float[Array, ""]:
    """Returns the largest absolute value of a free feature, at least a tiny number."""
    return jnp.maximum(jnp.max(jnp.where(free, jnp.abs(values), 0)), 1e-30)
