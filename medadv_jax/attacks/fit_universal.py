"""Fits one perturbation that fools a model on as many images as it can."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import rich.progress

from medadv_jax.attacks import checks, universal_passes as passes
from medadv_jax.attacks.run import as_pytree
from medadv_jax.attacks.universal import UniversalPerturbation
from medadv_jax.attacks.universal_passes import Norm
from medadv_jax.types import Attack, Batch


class UniversalFit(NamedTuple):
    """A fitted perturbation, how good it is on the images that it was fitted on, and its cost.

    Attributes:
      perturbation: The attack that applies it.
      rate: Its fooling rate on these images; on others it is to be measured.
      reached: Whether that is the rate aimed at.
      rates: The rate after each pass.
      gradients: Gradients spent; that of a batch counts once for each of its images.
      forwards: Images that were evaluated without a gradient.
      flat: How often the attack met a gradient that was zero or not finite.
    """

    perturbation: UniversalPerturbation
    rate: float
    reached: bool
    rates: tuple[float, ...]
    gradients: int
    forwards: int
    flat: int


def fit_universal(
    key: Any,
    attack: Attack,
    predict: Callable[[Any], Any],
    batches: Iterable[Batch],
    *,
    eps: float | int,
    norm: Norm = "linf",
    target_rate: float | int = 0.8,
    epochs: int = 10,
    target: int | None = None,
    together: bool | None = None,
    progress: bool = False,
) -> UniversalFit:
    r"""Fits a universal perturbation: one v within eps that fools the model on most images.

    In passes over the images, and until the fooling rate is reached, an attack changes v, and the
    changed v is projected onto the ball: $$v \leftarrow \Pi_\epsilon(v + \Delta v).$$

    Image by image (`together=False`) and with `DeepFool()` this is the algorithm of
    Moosavi-Dezfooli et al.: the least change that fools, for one image after another that still
    stands, in an order drawn anew for each pass (here: within each batch), dropped where the attack
    has not fooled. `Δv` is a change of v and not, as in ART, what is left of it after this image
    was clipped, which takes from v what a white or a black pixel cannot show.

    Batch by batch (`together=True`) the attack climbs the mean loss of a batch: with `FGSM(eps=a)`
    one step of length a for each batch, the stochastic gradient method of Shafahi et al. (who bound
    the loss of an image, so that none outweighs the others: `loss` may do so); with `PGD` several,
    inside the attack's own ball around v. Images that are fooled already are climbed on too: v then
    fools more images that it has not seen. It needs fewer gradients, and meets segmenters too.

    Which attack, and how far it may lead v at once, is free in both; a random start is not taken,
    since v goes on from where it is.

    The fooling rate is a part of the images that were right: those whose label v takes away. The
    authors count every image whose prediction changes: label the batches with the predictions for
    theirs. (ART counts what was wrong before as fooled.) Of label maps it is a part of the pixels.

    Fit on training or validation images: what was fitted on the images that it is judged on is not
    universal. The rate on unseen images is what an evaluation finds.

    Args:
      key: Of the order of the images, and of the attack.
      attack: What changes v: `DeepFool()`, `FGSM(eps=...)`, `PGD(eps=..., steps=...)`, ...
      predict: A Predict.
      batches: The images to fit on, iterated over again and again: a list, `data.from_arrays`, or
        `data.batches` of one epoch.
      eps: Radius of the ball of v, in pixels of [0, 1]. No pixel of v exceeds 1/2.
      norm: Of that ball; that of the attack is its own, the authors' is "l2" in both cases.
      target_rate: The rate at which to stop; the authors have 0.8.
      epochs: Most passes.
      target: A class to lead all images, or all pixels that count, to: the rate is the part of them
        that it is reached by, of those that were right and of another class. None for any class.
      together: Whether the attack meets the images of a batch together; None for one after another
        with attacks that seek the least change (`minimal`), and together with all others.
      progress: Show a progress bar.

    Returns:
      A UniversalFit of the best pass; where several are equal, of the last. `reached` tells whether
      the rate is the one that was asked for.

    Raises:
      ValueError: for an argument outside its range, no image that is right, and as `run` does.

    >>> import numpy as np
    >>> from medadv_jax import attacks, data
    >>> def brightness(images):
    ...     return (images.mean((1, 2, 3)) - 0.5)[:, None] * np.array([[-1, 1]])
    >>> images = np.full((4, 8, 8, 1), 1) * np.array([0.1, 0.47, 0.48, 0.49]).reshape(4, 1, 1, 1)
    >>> batches = data.from_arrays(images, np.zeros(4, int))
    >>> key, step = jax.random.key(0), attacks.FGSM(eps=0.02)
    >>> fit = fit_universal(key, step, brightness, batches, eps=0.04)
    >>> fit.rate, fit.reached
    (0.75, False)
    >>> result = attacks.run(fit.perturbation, key, brightness, images, np.zeros(4, int))
    >>> print(result.success)
    [False  True  True  True]
    """
    _check(eps, norm, target_rate, epochs, target)
    _check_batches(batches)
    if together is None:
        together = not getattr(attack, "minimal", False)
    if getattr(attack, "random_start", False):
        attack = dataclasses.replace(attack, random_start=False)  # pyright: ignore
    task = passes.Task(attack, as_pytree(predict), batches, float(eps), norm, target, together)
    state, bases = passes.begin(task)
    best, rates = state, []
    with rich.progress.Progress(transient=True, disable=not progress) as bar:
        line = bar.add_task("universal perturbation", total=epochs * len(bases))
        while len(rates) < epochs and max(rates, default=-1.0) < target_rate:
            own = jax.random.fold_in(key, len(rates))
            state = passes.whole_pass(task, own, state, bases, lambda: bar.advance(line))
            state, rate = passes.fooling_rate(task, state, bases)
            rates.append(rate)
            best = state if rate == max(rates) else best
            bar.update(line, description=f"universal perturbation, {rate:.0%} fooled")
    made = UniversalPerturbation(delta=best.delta, eps=eps, norm=norm)
    rate = max(rates)
    return UniversalFit(made, rate, rate >= target_rate, tuple(rates), *state[1:])


def _check(eps: Any, norm: Norm, target_rate: Any, epochs: int, target: int | None) -> None:
    """Raises ValueError for an argument outside its range."""
    checks.choice("norm", norm, ("linf", "l2"))
    checks.radius("eps", eps, norm)
    checks.number("target_rate", target_rate, 0, 1)
    checks.count("epochs", epochs)
    if target is not None:
        checks.count("target", target, 0)


def _check_batches(batches: Iterable[Batch]) -> None:
    """Raises ValueError for batches that cannot be iterated over again, or that never end."""
    once = isinstance(batches, Iterator)
    if once or getattr(batches, "epochs", 1) is None:
        raise ValueError(
            f"Batches are iterated over many times, got {'an iterator' if once else 'endless ones'}"
            ": give a list, or `data.batches` of one epoch."
        )
