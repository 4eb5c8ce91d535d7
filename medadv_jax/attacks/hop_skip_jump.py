"""HopSkipJump, an attack that is told labels only: along the boundary, towards the image."""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from medadv_jax.attacks import checks, norms
from medadv_jax.attacks.hop_skip_jump_looks import (
    LOWEST,
    parts,
    path,
    probes,
    strides,
    threshold,
)
from medadv_jax.attacks.hop_skip_jump_state import (
    ESTIMATE,
    PROJECT,
    SEEK,
    STRIDE,
    HopSkipJumpState,
    first_state,
)
from medadv_jax.attacks.judge import fooled
from medadv_jax.types import Image, Images, Label, PRNGKey, attack, per_example, static

FIRST = 0.1
"""Length of the first moves by which a direction is estimated, in pixels of [0, 1]."""
HALVINGS = 24
"""How often a stride is halved at most; after that nothing is left of it in float32."""


@attack
class HopSkipJump:
    r"""Walks along the decision boundary to the nearest image that fools; it is told labels only.

    It starts at uniform noise that fools and goes to the boundary on the way to the clean image x:
    blended with it (L2), or with its change clipped (Linf). There, with $\phi(x') = \pm 1$ where
    $x'$ fools or does not, it estimates the direction in which the boundary is left, by random
    $u_i$ of length 1, and strides into it, with half the size until it fools, then back again:

    $$v_t = \sum_i \bigl(\phi(x_t + \delta_t u_i) - \bar\phi\bigr) u_i, \qquad
      x_{t+1} = \mathrm{boundary}\Bigl(x_t + \frac{\|x_t - x\|}{2^j \sqrt t}\, s(v_t)\Bigr), \qquad
      s(v) = \frac{v}{\|v\|_2} \text{ or } \mathrm{sign}(v),$$

    with $\min(\text{initial\_evals} \sqrt t, \text{max\_evals})$ directions in iteration t. The
    boundary is met to the part $\theta = \gamma d^{-3/2}$ of the way (Linf: $\gamma d^{-2}$), d
    the number of pixels times channels; $\delta_1$ is 0.1, then $\sqrt d\, \theta$ (Linf:
    $d\, \theta$) times the distance. The nearest of all images that fooled is returned.

    A step looks at a block of images at once, and all of them count in `forwards`: at noise, at
    points that part the way to the boundary evenly, at directions, or at strides of sizes 1, 1/2,
    1/4, … With `block=1` the way is halved, as in the paper: fewest queries, most steps. A block of
    10 takes a tenth of the steps for 25 % (5 iterations) to 10 % (30) more queries. All that is
    read from the logits is which is largest: a model that hides its gradients or its scores gains
    nothing.

    `flat` says here that no start was found: the model had one answer to all noise. The clean image
    is returned then, unfooled. A walk may end at a class that is not the nearest: around the images
    of one class there are many nearest points.

    Where libraries differ: Foolbox and the authors first search the blend of image and noise, then
    go to the boundary; that is one search here. Foolbox raises an error for the whole batch where
    one start fails, divides the L2 direction by its norm over the whole batch, so that batch mates
    shorten each other's strides, and halves strides without end. ART has wider thresholds, 0.01 /
    sqrt(d) and 0.01 / d, and 50 iterations. All return where they end. Here theta is 2^-22 at the
    least: at more than 160 x 160 values (Linf: 45 x 45) that of the paper, and the moves that
    follow from it, would drown in the rounding of float32.

    Args:
      starts: Images `(b, *space, c)` in [0, 1] to start from, one an example, the first that are
        looked at, before noise. With targets they are needed: an image of the target class each,
        which noise is hardly ever.
      gamma: Factor of the thresholds.
      steps: Iterations.
      norm: Of the distance, "l2" or "linf".
      initial_evals: Directions in the first iteration; all numbers of them are rounded up to
        blocks.
      max_evals: Most directions in an iteration.
      tries: Most images of noise, rounded up to blocks.
      block: Images that a step looks at. More take memory: b times this many are evaluated at once.

    Source: Chen, Jordan, Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack",
    IEEE S&P 2020.
    """

    starts: Images | None = per_example(default=None)
    gamma: float = static(default=1.0)
    steps: int = static(default=64)
    norm: Literal["l2", "linf"] = static(default="l2")
    initial_evals: int = static(default=100)
    max_evals: int = static(default=10_000)
    tries: int = static(default=1000)
    block: int = static(default=10)
    minimal = True
    size = None

    def check(self, shape: tuple[int, ...], num_classes: int) -> None:
        """Raises ValueError for a hyperparameter out of its range, or starts of another kind."""
        checks.choice("norm", self.norm, ("l2", "linf"))
        checks.number("gamma", self.gamma, 0, above=True)
        for name in ("steps", "initial_evals", "max_evals", "tries", "block"):
            checks.count(name, getattr(self, name))
        if self.starts is None:
            return
        starts = checks.as_images(self.starts)
        if starts.shape[1:] != shape:
            raise ValueError(
                f"starts are images of the shape {shape}, one an example, got {starts.shape}."
            )
        if not checks.is_traced(starts):
            checks.pixels(starts, np.ones(len(starts), bool))

    def max_steps(self, shape: tuple[int, ...]) -> int:
        """Returns the steps of all searches, at their longest, and all estimates together."""
        rounds = self._rounds(math.prod(shape))
        start = self._blocks(self.tries) + rounds
        searches = self.steps * (self._blocks(HALVINGS) + rounds)
        return start + searches + int(self._plan().sum())

    def init(
        self, key: PRNGKey, predict: Any, image: Image, label: Label, target: Label | None = None
    ) -> HopSkipJumpState:
        """Returns the state before the first look."""
        checks.single_label(self, label)
        if target is not None and self.starts is None:
            raise ValueError(
                "With targets HopSkipJump needs starts, an image of the target class for each "
                "example: it cannot find that class by noise."
            )
        return first_state(key, image, label, target)

    def step(self, predict: Any, state: HopSkipJumpState) -> HopSkipJumpState:
        """Returns the state after a look at one more block: as many forward passes."""
        images = self._images(state)
        logits = jax.vmap(predict)(images)
        hit = jax.vmap(fooled, in_axes=(0, None, None))(logits, state.label, state.target)
        sizes = jax.vmap(lambda image: norms.length(image - state.clean, self.norm))(images)
        sizes = jnp.where(hit, sizes, jnp.inf)
        nearest = jnp.argmin(sizes)
        better = sizes[nearest] < state.distance
        state = state._replace(
            image=jnp.where(better, images[nearest], state.image),
            distance=jnp.where(better, sizes[nearest], state.distance),
            looks=state.looks + 1,
            number=state.number + 1,
            forwards=state.forwards + self.block,
        )
        phases = (self._sought, self._projected, self._estimated, self._strode)
        return jax.lax.switch(state.phase, phases, state, images, hit)

    def _images(self, state: HopSkipJumpState) -> Float[Array, "block *space c"]:
        """Returns the images that the next step looks at."""
        key = jax.random.fold_in(state.key, state.number)
        noise = jax.random.uniform(key, (self.block, *state.clean.shape), minval=LOWEST)
        distance = norms.length(state.current - state.clean, self.norm)
        halvings = state.looks * self.block + jnp.arange(self.block)
        stride = distance / jnp.sqrt(state.walked + 1.0) / 2.0**halvings
        looks = (
            self._candidates(state, noise),
            path(state.clean, state.current, parts(state.low, self.block), self.norm),
            probes(state.current, noise, self._delta(state, distance), self.norm),
            strides(state.current, self._normal(state), stride, self.norm),
        )
        return jax.lax.select_n(state.phase, *looks)

    def _sought(self, state: HopSkipJumpState, images: Any, hit: Any) -> HopSkipJumpState:
        """Goes to the boundary from the first image that fools, or gives up."""
        found = hit.any()
        lost = ~found & (state.looks == self._blocks(self.tries))
        return state._replace(
            current=jnp.where(found, images[jnp.argmax(hit)], state.current),
            phase=jnp.where(found, PROJECT, SEEK),
            looks=jnp.where(found, 0, state.looks),
            done=lost,
            flat=lost,
        )

    def _projected(self, state: HopSkipJumpState, images: Any, hit: Any) -> HopSkipJumpState:
        """Takes the first point of the way that fools for its end, the one before for its start."""
        points = jnp.append(parts(state.low, self.block), 1.0)
        first = jnp.where(hit.any(), jnp.argmax(hit), self.block)
        before = jnp.where(first == 0, state.low, points[first - 1])
        over = state.looks == self._rounds(state.clean.size)
        return state._replace(
            current=jnp.where(hit.any(), images[jnp.argmax(hit)], state.current),
            low=before / points[first],
            phase=jnp.where(over, ESTIMATE, PROJECT),
            looks=jnp.where(over, 0, state.looks),
            done=over & (state.walked == self.steps),
        )

    def _estimated(self, state: HopSkipJumpState, images: Any, hit: Any) -> HopSkipJumpState:
        """Adds the moves up, those that fool and those that do not."""
        moves = images - state.current[None]  # as they are after clipping
        total = lambda chosen: jnp.tensordot(chosen.astype(moves.dtype), moves, axes=1)
        over = state.looks == self._estimates(state)
        return state._replace(
            hits=state.hits + total(hit),
            misses=state.misses + total(~hit),
            share=state.share + hit.sum(),
            phase=jnp.where(over, STRIDE, ESTIMATE),
            looks=jnp.where(over, 0, state.looks),
        )

    def _strode(self, state: HopSkipJumpState, images: Any, hit: Any) -> HopSkipJumpState:
        """Goes back to the boundary from the longest stride that fools, or from where it was."""
        found = hit.any()
        over = found | (state.looks == self._blocks(HALVINGS))
        return state._replace(
            current=jnp.where(found, images[jnp.argmax(hit)], state.current),
            low=jnp.where(over, 0.0, state.low),
            hits=jnp.where(over, 0.0, state.hits),
            misses=jnp.where(over, 0.0, state.misses),
            share=jnp.where(over, 0, state.share),
            phase=jnp.where(over, PROJECT, STRIDE),
            looks=jnp.where(over, 0, state.looks),
            walked=state.walked + over,
        )

    def _candidates(self, state: HopSkipJumpState, noise: Any) -> Float[Array, "block *space c"]:
        """Returns images to start from: noise, after the start that was given."""
        images = (noise + 1) / 2
        if self.starts is None:
            return images
        start = jnp.clip(self.starts, 0, 1)
        return images.at[0].set(jnp.where(state.number == 0, start, images[0]))

    def _normal(self, state: HopSkipJumpState) -> Image:
        """Returns the estimate of the direction that leads out, of any length.

        The sum of all moves, each times what its answer is above the mean answer, is the mean of
        the moves that fool minus the mean of the others, but for its length. If all answers are
        the same there is one mean only.
        """
        others = self._estimates(state) * self.block - state.share
        return state.hits / jnp.maximum(state.share, 1) - state.misses / jnp.maximum(others, 1)

    def _delta(self, state: HopSkipJumpState, distance: Any) -> Float[Array, ""]:
        """Returns the length of the moves by which the direction is estimated."""
        size = state.clean.size
        factor = size if self.norm == "linf" else math.sqrt(size)
        theta = threshold(size, self.gamma, self.norm)
        return jnp.where(state.walked == 0, FIRST, factor * theta * distance)

    def _rounds(self, size: int) -> int:
        """Returns how often the way is parted until the boundary is met."""
        wanted = -math.log(threshold(size, self.gamma, self.norm))
        return max(1, math.ceil(wanted / math.log(self.block + 1)))

    def _blocks(self, count: int) -> int:
        """Returns how many blocks hold a number of images."""
        return math.ceil(count / self.block)

    def _plan(self) -> np.ndarray:
        """Returns the blocks of directions of each iteration."""
        evals = np.minimum(self.initial_evals * np.sqrt(1 + np.arange(self.steps)), self.max_evals)
        return np.array([self._blocks(int(number)) for number in evals])

    def _estimates(self, state: HopSkipJumpState) -> Int[Array, ""]:
        """Returns the blocks of directions of this iteration."""
        return jnp.asarray(self._plan())[state.walked]
