"""The noise and the attacks of experiments.skin by name."""

import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax

from medadv_jax import attacks
from medadv_jax.types import Attack, Batch, Predict

Perturbation = Literal[
    "gaussian_noise",
    "uniform_noise",
    "sign_noise",
    "fgsm",
    "step_ll",
    "rfgsm",
    "bim",
    "mim",
    "pgd",
    "apgd",
    "square",
    "autoattack",
    "deepfool",
    "carlini_wagner",
    "ead",
    "lbfgs",
    "fab",
    "saliency_map",
    "hop_skip_jump",
    "universal",
]

WHOLE = ("gaussian_noise", "uniform_noise", "sign_noise", "fgsm", "step_ll", "rfgsm", "universal")
"""Those that take their whole size, also where the network is wrong before."""
EARLY = tuple(name for name in typing.get_args(Perturbation) if name not in WHOLE)
"""Those that stop when they have fooled and leave alone what is wrong before."""


def perturbations(
    config: Any, predicts: Mapping[str, Predict], validation: Callable[[], Iterable[Batch]]
) -> dict[str, Any]:
    """Returns what the flag `--attacks` names, each with its sizes.

    Args:
      config: A `skin.Config`.
      predicts: The networks by name.
      validation: Returns the images that what has to be fitted to a network is fitted on.
    """
    sized, minimal = _sized(config), _minimal(config)
    sizes = sorted({config.eps, *config.sweep})
    made: dict[str, Any] = {}
    for name in config.attacks:
        if name == "universal":
            batches = validation()
            made[name] = {
                model: [_universal(config, predict, batches, eps) for eps in sizes]
                for model, predict in predicts.items()
            }
        elif name in sized:
            made[name] = [sized[name](eps) for eps in sizes]
        else:
            made[name] = [minimal[name]]
    return made


def _sized(config: Any) -> dict[str, Callable[[float], Attack]]:
    """Returns the perturbations of a given size; the attacks stop where they fool."""
    early: dict[str, Any] = dict(until_fooled=True)
    steps: dict[str, Any] = dict(steps=config.pgd_steps, **early)
    return {
        "gaussian_noise": lambda eps: attacks.GaussianNoise(sigma=eps),
        "uniform_noise": lambda eps: attacks.UniformNoise(eps=eps),
        "sign_noise": lambda eps: attacks.SignNoise(eps=eps),
        "fgsm": lambda eps: attacks.FGSM(eps=eps),
        "step_ll": lambda eps: attacks.StepLL(eps=eps),
        "rfgsm": lambda eps: attacks.RFGSM(eps=eps),
        "bim": lambda eps: attacks.BIM(eps=eps, **steps),
        "mim": lambda eps: attacks.MIM(eps=eps, **steps),
        "pgd": lambda eps: attacks.PGD(eps=eps, **steps),
        "apgd": lambda eps: attacks.APGD(eps=eps, **early),
        "square": lambda eps: attacks.Square(eps=eps),
        "autoattack": attacks.autoattack,
    }


def _minimal(config: Any) -> dict[str, Attack]:
    """Returns the attacks that take what they need."""
    return {
        "deepfool": attacks.DeepFool(),
        "carlini_wagner": attacks.CarliniWagner(),
        "ead": attacks.EAD(),
        "lbfgs": attacks.LBFGS(),
        "fab": attacks.FAB(),
        "saliency_map": attacks.SaliencyMap(per_step=config.saliency_pairs),
        "hop_skip_jump": attacks.HopSkipJump(),
    }


def _universal(
    config: Any, predict: Predict, validation: Iterable[Batch], eps: float
) -> attacks.UniversalPerturbation:
    """Returns the perturbation of a size that fools a network on most validation images."""
    key, step = jax.random.key(config.seed), attacks.FGSM(eps=eps / 4)
    fit = attacks.fit_universal(
        key, step, predict, validation, eps=eps, target_rate=1.0, progress=True
    )
    return fit.perturbation
