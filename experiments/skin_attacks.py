"""The noise and the attacks of experiments.skin by name."""

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

EARLY = (
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
)
"""Those that stop when they have fooled and leave alone what is wrong before."""


def perturbations(
    config: Any, predicts: Mapping[str, Predict], validation: Iterable[Batch]
) -> dict[str, Any]:
    """Returns what the flag `--attacks` names, each with its sizes.

    Args:
      config: A `skin.Config`.
      predicts: The networks by name.
      validation: Images that what has to be fitted to a network is fitted on.
    """
    sized, minimal = _sized(config), _minimal(config)
    sizes = sorted({config.eps, *config.sweep})
    made: dict[str, Any] = {}
    for name in config.attacks:
        if name == "universal":
            made[name] = {
                model: [_universal(config, predict, validation, eps) for eps in sizes]
                for model, predict in predicts.items()
            }
        else:
            several = [sized[name](eps) for eps in sizes] if name in sized else [minimal[name]]
            made[name] = several
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
