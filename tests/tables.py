"""Everything public that has a contract, once: tests run every law over every row."""

import dataclasses
from typing import Any

import jax
import numpy as np

from medadv_jax import attacks, losses

ATTACK_LAWS = (
    "keeps_shape_and_dtype",
    "stays_in_range",
    "stays_in_its_ball",
    "same_keys_same_result",
    "jit_equals_no_jit",
    "batch_equals_singles",
    "batch_size_changes_nothing",
    "permuting_permutes",
    "one_trace_serves_new_weights_and_sizes",
    "size_zero_is_the_image",
    "finite_on_a_constant_model",
    "finite_on_a_saturated_model",
    "success_agrees_with_the_model",
    "padding_is_untouched",
    "misclassified_is_free",
    "stronger_is_never_weaker",
)


@dataclasses.dataclass(frozen=True, eq=False)
class AttackRow:
    """An attack and the laws of the contract that do not apply to it, each with the reason.

    Attributes:
      attack: With settings that suit images of 36 features.
      without: From the name of a law to the reason why it is left out.
      norm: Of its ball, whose radius is `eps`.
      budget: The hyperparameter of which more never makes the attack weaker.
      less: A smaller budget, which fools some but fewer; None for 2 steps, or for a third.
      dense: Whether it meets a segmenter of images (6, 6, 1) with 4 classes instead of a classifier
        of images (4, 3, 3); then the top row of every image is void, and every image has structure.
      targeted: Whether it is given targets: the next class, for a segmenter in one pixel.
      least: The least label that its rule of success looks at: 1 leaves the background out.
    """

    attack: Any
    without: dict[str, str]
    norm: str | None = None
    budget: str = ""
    less: Any = None
    dense: bool = False
    targeted: bool = False
    least: int = 0


NO_BALL = {"stays_in_its_ball": "its perturbation has no bound"}
NO_SIZE = {"size_zero_is_the_image": "it has no knob for its size"}
NOT_EARLY = {"misclassified_is_free": "it perturbs what is misclassified too"}
NOT_BEST = {"stronger_is_never_weaker": "it returns where it ends, not the best it has seen"}
PLANNED = {"stronger_is_never_weaker": "its steps are planned by their number: more are others"}
NO_GRADIENT = {"finite_on_a_constant_model": "it asks for no gradient, so that none can be flat"}
RANDOM = {"stronger_is_never_weaker": "it does not look at the model"}

OF_A_PART = {"stays_in_its_ball": "its ball is that of its attack"}


def surrogate_logits(weights, images):
    """A linear surrogate, which looks at the first 36 features of an image, if it has so many."""
    features = images.reshape(len(images), -1)[:, : len(weights)]
    return features @ weights[: features.shape[1]]


SURROGATE = jax.tree_util.Partial(
    surrogate_logits, np.random.default_rng(0).normal(size=(36, 4)).astype(np.float32)
)


def corners(*shape):
    """Perturbations on the corners of a ball of radius 0.1."""
    return 0.1 * np.random.default_rng(1).choice([-1.0, 1.0], shape).astype(np.float32)


def jitter(key, image):
    """A random transformation: every pixel is moved a little."""
    return image + 0.05 * jax.random.normal(key, image.shape)


ATTACKS = {
    "fgsm": AttackRow(attacks.FGSM(eps=0.1), NOT_EARLY | NOT_BEST, "linf"),
    "fgsm_l2": AttackRow(attacks.FGSM(eps=0.4, norm="l2"), NOT_EARLY | NOT_BEST, "l2"),
    "fgsm_l1": AttackRow(attacks.FGSM(eps=1.3, norm="l1"), NOT_EARLY | NOT_BEST, "l1"),
    "bim": AttackRow(attacks.BIM(eps=0.1, steps=3), NOT_EARLY | NOT_BEST, "linf"),
    "step_ll": AttackRow(attacks.StepLL(eps=0.1), NOT_EARLY | NOT_BEST, "linf"),
    "step_ll_dense": AttackRow(
        attacks.StepLL(eps=0.4, norm="l2"), NOT_EARLY | NOT_BEST, "l2", dense=True
    ),
    "rfgsm": AttackRow(attacks.RFGSM(eps=0.1), NOT_EARLY | NOT_BEST, "linf"),
    "mim": AttackRow(attacks.MIM(eps=0.1, steps=3), NOT_EARLY | NOT_BEST, "linf"),
    "mim_l2": AttackRow(
        attacks.MIM(
            eps=0.4, step_size=0.1, steps=20, norm="l2", until_fooled=True, loss=losses.margin
        ),
        {},
        "l2",
        "steps",
    ),
    "pgd": AttackRow(attacks.PGD(eps=0.1, steps=3), NOT_EARLY | NOT_BEST, "linf"),
    "pgd_until_fooled": AttackRow(
        attacks.PGD(eps=0.1, steps=6, until_fooled=True, loss=losses.margin), {}, "linf", "steps"
    ),
    "pgd_l2": AttackRow(
        attacks.PGD(eps=0.4, steps=20, norm="l2", until_fooled=True, step_size=0.1),
        {},
        "l2",
        "steps",
    ),
    "pgd_l1": AttackRow(attacks.PGD(eps=1.3, steps=3, norm="l1"), NOT_EARLY | NOT_BEST, "l1"),
    "deepfool": AttackRow(attacks.DeepFool(), NO_BALL | NO_SIZE, budget="steps"),
    "deepfool_linf": AttackRow(attacks.DeepFool(norm="linf"), NO_BALL | NO_SIZE, budget="steps"),
    "carlini_wagner": AttackRow(
        attacks.CarliniWagner(c=0.01, learning_rate=0.03, search_steps=4, steps=20),
        NO_BALL | NO_SIZE,
        budget="search_steps",
        less=2,
    ),
    "carlini_wagner_targeted": AttackRow(
        attacks.CarliniWagner(
            c=0.01, learning_rate=0.03, confidence=0.1, search_steps=4, steps=20, space="tanh"
        ),
        NO_BALL | NO_SIZE,
        budget="search_steps",
        less=2,
        targeted=True,
    ),
    "ead": AttackRow(
        attacks.EAD(c=0.01, learning_rate=0.05, search_steps=4, steps=20),
        NO_BALL | NO_SIZE,
        budget="search_steps",
        less=2,
    ),
    "ead_targeted": AttackRow(
        attacks.EAD(c=0.01, learning_rate=0.05, search_steps=4, steps=20, rule="l1", fista=False),
        NO_BALL | NO_SIZE,
        budget="search_steps",
        less=2,
        targeted=True,
    ),
    "lbfgs": AttackRow(
        attacks.LBFGS(c=0.01, search_steps=4, steps=30),
        NO_BALL | NO_SIZE,
        budget="search_steps",
        less=2,
    ),
    "lbfgs_targeted": AttackRow(
        attacks.LBFGS(c=0.01, search_steps=4, steps=30, pairs=3),
        NO_BALL | NO_SIZE,
        budget="search_steps",
        less=2,
        targeted=True,
    ),
    "saliency_map": AttackRow(attacks.SaliencyMap(gamma=0.5), NO_BALL, budget="gamma"),
    "saliency_map_single": AttackRow(
        attacks.SaliencyMap(theta=-0.5, gamma=0.5, pairs=False, per_step=2),
        NO_BALL,
        budget="gamma",
    ),
    "gaussian_noise": AttackRow(attacks.GaussianNoise(sigma=0.1), NO_BALL | NOT_EARLY | RANDOM),
    "rician_noise": AttackRow(attacks.RicianNoise(sigma=0.1), NO_BALL | NOT_EARLY | RANDOM),
    "uniform_noise": AttackRow(attacks.UniformNoise(eps=0.1), NOT_EARLY | RANDOM, "linf"),
    "sign_noise": AttackRow(attacks.SignNoise(eps=0.1), NOT_EARLY | RANDOM, "linf"),
    "bim_dense": AttackRow(attacks.BIM(eps=0.1, steps=3), NOT_EARLY | NOT_BEST, "linf", dense=True),
    "dag": AttackRow(
        attacks.DAG(gamma=0.1, steps=18),
        NO_BALL | NO_SIZE,
        budget="steps",
        less=12,
        dense=True,
        least=1,
    ),
    "dag_l2": AttackRow(
        attacks.DAG(gamma=0.2, steps=18, step_norm="l2", foreground_only=False),
        NO_BALL | NO_SIZE,
        budget="steps",
        less=16,
        dense=True,
    ),
    "dag_targeted": AttackRow(
        attacks.DAG(gamma=0.05, steps=18, active="target"),
        NO_BALL | NO_SIZE,
        budget="steps",
        less=8,
        dense=True,
        targeted=True,
    ),
    "asma": AttackRow(
        attacks.ASMA(tau=0.003, beta=0.003, steps=30),
        NO_BALL | NO_SIZE,
        budget="steps",
        less=20,
        dense=True,
        targeted=True,
    ),
    "segpgd": AttackRow(
        attacks.SegPGD(eps=4.0, steps=4, norm="l2", until_fooled=True), PLANNED, "l2", dense=True
    ),
    "cospgd": AttackRow(
        attacks.CosPGD(eps=0.8, steps=12, until_fooled=True),
        {},
        "linf",
        "steps",
        less=4,
        dense=True,
    ),
    "apgd": AttackRow(attacks.APGD(eps=0.1, steps=4), NOT_EARLY | PLANNED, "linf"),
    "apgd_l2": AttackRow(
        attacks.APGD(eps=0.4, steps=4, norm="l2", loss="dlr", until_fooled=True), PLANNED, "l2"
    ),
    "apgd_l1": AttackRow(
        attacks.APGD(eps=1.5, steps=17, norm="l1", until_fooled=True), PLANNED, "l1"
    ),
    "apgd_dense": AttackRow(
        attacks.APGD(
            eps=0.1, steps=4, keep="loss", stages=((0.5, 2.0), (0.5, 1.0)), random_start=False
        ),
        NOT_EARLY | PLANNED,
        "linf",
        dense=True,
    ),
    "fab": AttackRow(attacks.FAB(steps=14), NO_BALL | NO_SIZE, budget="steps", less=1),
    "fab_linf": AttackRow(
        attacks.FAB(norm="linf", eps=0.1, steps=14, random_start=True), {}, "linf", "eps"
    ),
    "fab_targeted": AttackRow(
        attacks.FAB(norm="l1", steps=20, search=0),
        NO_BALL | NO_SIZE,
        budget="steps",
        less=1,
        targeted=True,
    ),
    "square": AttackRow(attacks.Square(eps=0.1, steps=30), NO_GRADIENT, "linf", "steps"),
    "square_l2": AttackRow(
        attacks.Square(eps=0.5, steps=30, norm="l2"), NO_GRADIENT, "l2", "steps"
    ),
    "square_dense": AttackRow(
        attacks.Square(eps=0.8, steps=30),
        NO_GRADIENT | {"stronger_is_never_weaker": "few squares hardly turn all pixels of a map"},
        "linf",
        dense=True,
    ),
    "hop_skip_jump": AttackRow(
        attacks.HopSkipJump(steps=2, initial_evals=12, tries=8, block=1),
        NO_BALL | NO_SIZE,
        budget="tries",
        less=1,
    ),
    "hop_skip_jump_linf": AttackRow(
        attacks.HopSkipJump(norm="linf", steps=2, initial_evals=16, tries=16, block=8),
        NO_BALL | NO_SIZE | {"stronger_is_never_weaker": "one block of noise starts all of them"},
    ),
    "aimed": AttackRow(
        attacks.Aimed(
            attack=attacks.APGD(eps=0.05, steps=16, loss="dlr", until_fooled=True), classes=2
        ),
        OF_A_PART | NO_SIZE | {"stronger_is_never_weaker": "its budget is that of its attack"},
    ),
    "autoattack": AttackRow(
        attacks.autoattack(0.02, steps=17, queries=17, classes=2), PLANNED, "linf"
    ),
    "sea": AttackRow(attacks.SEA(eps=0.1, steps=3), PLANNED, "linf", dense=True),
    "targeted": AttackRow(
        attacks.Targeted(
            attack=attacks.DAG(gamma=0.1, steps=18, active="target"), kind="b", iterations=1
        ),
        NO_BALL
        | NO_SIZE
        | {
            "success_agrees_with_the_model": "success is by targets that only it knows",
            "stronger_is_never_weaker": "its budget is that of its attack",
            "finite_on_a_constant_model": "a label map of one class has nothing to swap",
        },
        dense=True,
    ),
    "region": AttackRow(
        attacks.Region(attack=attacks.BIM(eps=0.1, steps=3), where=attacks.foreground),
        NO_BALL | NO_SIZE | NOT_EARLY | NOT_BEST,
        dense=True,
    ),
    "restarts": AttackRow(
        attacks.Restarts(attack=attacks.PGD(eps=0.12, steps=1, until_fooled=True), n=4),
        OF_A_PART | NO_SIZE,
        budget="n",
        less=1,
    ),
    "transfer": AttackRow(
        attacks.Transfer(attack=attacks.BIM(eps=0.1, steps=3), surrogate=SURROGATE),
        OF_A_PART
        | NO_SIZE
        | NOT_EARLY
        | NOT_BEST
        | {"finite_on_a_constant_model": "its gradients are those of the surrogate"},
    ),
    "eot": AttackRow(
        attacks.EOT(attack=attacks.PGD(eps=0.1, steps=3), transform=jitter, samples=2),
        OF_A_PART | NO_SIZE | NOT_EARLY | NOT_BEST,
    ),
    "universal": AttackRow(
        attacks.UniversalPerturbation(delta=corners(4, 3, 3), eps=0.1),
        NOT_EARLY | NO_GRADIENT | RANDOM,
        "linf",
    ),
    "universal_one_of_three": AttackRow(
        attacks.UniversalPerturbation(delta=corners(3, 6, 6, 1), eps=0.6, norm="l2"),
        NOT_EARLY | NO_GRADIENT | RANDOM,
        "l2",
        dense=True,
    ),
    "worst_case": AttackRow(
        attacks.WorstCase(attacks=(attacks.FGSM(eps=0.05), attacks.PGD(eps=0.1, steps=3))),
        NO_BALL | NO_SIZE | NOT_EARLY | NOT_BEST,
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class ModelRow:
    """A net that is small enough to be run.

    Attributes:
      name: As in `models.create`.
      options: What makes it small.
      shape: Of an image, `(h, w, c)` or `(d, h, w, c)`.
      dense: Whether each pixel has logits.
    """

    name: str
    options: dict[str, Any]
    shape: tuple[int, ...]
    dense: bool = False


MODELS = {
    "inception_v3": ModelRow("inception_v3", dict(width=1 / 8, repeats=(1,) * 3), (75, 75, 3)),
    "inception_v4": ModelRow("inception_v4", dict(width=1 / 8, repeats=(1,) * 3), (75, 75, 3)),
    "mobilenet": ModelRow("mobilenet", dict(width=1 / 8, repeats=(1,) * 5), (32, 32, 3)),
    "unet": ModelRow("unet", dict(width=1 / 16, depth=2), (12, 9, 2), dense=True),
    "unet_plain": ModelRow(
        "unet", dict(width=1 / 16, depth=2, batch_norm=False), (12, 9, 2), dense=True
    ),
    "unet_3d": ModelRow("unet", dict(width=1 / 32, depth=2, dims=3), (6, 8, 7, 2), dense=True),
    "segnet": ModelRow("segnet", dict(width=1 / 16, repeats=(2, 2, 1)), (12, 9, 2), dense=True),
    "fc_densenet": ModelRow(
        "fc_densenet", dict(layers=(2, 2, 3), growth=4, first=8), (12, 9, 2), dense=True
    ),
}
