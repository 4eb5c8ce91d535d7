"""Which attack of ours the bench compares with which of another library, under one budget."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from experiments import peers
from experiments.peers import Peer
from medadv_jax import attacks
from medadv_jax.types import Attack


class Contest(NamedTuple):
    """An attack of ours and one of others.

    Attributes:
      attack: Ours.
      peer: Theirs, None where no library has the attack.
      norm: In which changes are measured: "linf", "l2", "l1" or "l0".
      eps: Radius that both keep, None where both look for the smallest change.
      why: Why there is no peer.
    """

    attack: Attack
    peer: Peer | None
    norm: str = "linf"
    eps: float | None = None
    why: str = ""


class Budget(NamedTuple):
    """What both sides of a contest may spend.

    Attributes:
      eps: Radius of the Linf balls.
      eps_l2: Radius of the L2 balls.
      steps: Of one search of the minimising attacks.
      walk: Iterations of the attack that is told labels only.
      queries: Of the random searches.
      num_classes: Classes of the network.
    """

    eps: float
    eps_l2: float
    steps: int
    walk: int
    queries: int
    num_classes: int


NO_PEER = "no other library has it in the paper's form"
FEW = "the authors' code needs more classes for the DLR loss"


def _eps(budget: Budget, norm: str) -> float:
    return budget.eps if norm == "linf" else budget.eps_l2


def _apgd(b: Budget, loss: Literal["ce", "dlr"], norm: Literal["linf", "l2"]) -> Contest:
    eps, enough = _eps(b, norm), loss == "ce" or b.num_classes >= 3
    theirs = peers.authors("autopgd_base", "APGDAttack", norm, eps=eps, loss=loss)
    ours = attacks.APGD(eps=eps, norm=norm, loss=loss, until_fooled=True)
    return Contest(ours, theirs if enough else None, norm, eps, FEW)


def _fab(norm: Literal["linf", "l2"]) -> Contest:
    # theirs gives up what is farther than eps, which else is for random starts only
    theirs = peers.authors("fab_pt", "FABAttack_PT", norm, eps=1e6)
    return Contest(attacks.FAB(norm=norm), theirs, norm)


def _square(b: Budget, norm: Literal["linf", "l2"]) -> Contest:
    eps, queries = _eps(b, norm), b.queries
    theirs = peers.authors(
        "square", "SquareAttack", norm, eps=eps, n_queries=queries, resc_schedule=False
    )
    return Contest(attacks.Square(eps=eps, norm=norm, steps=queries), theirs, norm, eps)


def _autoattack(b: Budget, norm: Literal["linf", "l2"]) -> Contest:
    eps = _eps(b, norm)
    theirs = peers.autoattack(eps, norm, b.num_classes) if b.num_classes >= 4 else None
    return Contest(attacks.autoattack(eps, norm), theirs, norm, eps, FEW)


CONTESTS: dict[str, Callable[[Budget], Contest]] = {
    "fgsm": lambda b: Contest(
        attacks.FGSM(eps=b.eps), peers.foolbox("LinfFastGradientAttack", b.eps), eps=b.eps
    ),
    "step_ll": lambda b: Contest(
        attacks.StepLL(eps=b.eps),
        peers.foolbox(
            "LinfBasicIterativeAttack",
            b.eps,
            least_likely=True,
            rel_stepsize=1.0,
            steps=1,
            random_start=False,
        ),
        eps=b.eps,
    ),
    "rfgsm": lambda b: Contest(attacks.RFGSM(eps=b.eps), None, eps=b.eps, why=NO_PEER),
    "bim": lambda b: Contest(
        attacks.BIM(eps=b.eps, until_fooled=True),
        peers.foolbox(
            "LinfBasicIterativeAttack", b.eps, rel_stepsize=0.25, steps=10, random_start=False
        ),
        eps=b.eps,
    ),
    "mim": lambda b: Contest(
        attacks.MIM(eps=b.eps, until_fooled=True),
        peers.torchattacks("MIFGSM", eps=b.eps, alpha=b.eps / 10, steps=10, decay=1.0),
        eps=b.eps,
    ),
    "pgd": lambda b: Contest(
        attacks.PGD(eps=b.eps, until_fooled=True),
        peers.foolbox("LinfPGD", b.eps, rel_stepsize=0.25, steps=10),
        eps=b.eps,
    ),
    "pgd_l2": lambda b: Contest(
        attacks.PGD(eps=b.eps_l2, norm="l2", until_fooled=True),
        peers.foolbox("L2PGD", b.eps_l2, rel_stepsize=0.25, steps=10),
        "l2",
        b.eps_l2,
    ),
    "apgd_ce_linf": lambda b: _apgd(b, "ce", "linf"),
    "apgd_ce_l2": lambda b: _apgd(b, "ce", "l2"),
    "apgd_dlr_linf": lambda b: _apgd(b, "dlr", "linf"),
    "apgd_dlr_l2": lambda b: _apgd(b, "dlr", "l2"),
    "apgd_t": lambda b: Contest(
        attacks.autoattack(b.eps).parts()[1],
        peers.authors(
            "autopgd_base",
            "APGDAttack_targeted",
            "linf",
            eps=b.eps,
            n_target_classes=min(9, b.num_classes - 1),
        )
        if b.num_classes >= 4
        else None,
        eps=b.eps,
        why=FEW,
    ),
    "fab_linf": lambda b: _fab("linf"),
    "fab_l2": lambda b: _fab("l2"),
    "square_linf": lambda b: _square(b, "linf"),
    "square_l2": lambda b: _square(b, "l2"),
    "autoattack_linf": lambda b: _autoattack(b, "linf"),
    "autoattack_l2": lambda b: _autoattack(b, "l2"),
    "deepfool_l2": lambda b: Contest(
        attacks.DeepFool(), peers.foolbox("L2DeepFoolAttack", candidates=10, overshoot=0.02), "l2"
    ),
    "deepfool_linf": lambda b: Contest(
        attacks.DeepFool(norm="linf"),
        peers.foolbox("LinfDeepFoolAttack", candidates=10, overshoot=0.02),
    ),
    "carlini_wagner": lambda b: Contest(
        attacks.CarliniWagner(steps=b.steps),
        peers.foolbox("L2CarliniWagnerAttack", steps=b.steps),
        "l2",
    ),
    "ead": lambda b: Contest(
        attacks.EAD(steps=b.steps),
        peers.foolbox("EADAttack", steps=b.steps, regularization=1e-3),
        "l1",
    ),
    "lbfgs": lambda b: Contest(attacks.LBFGS(), None, "l2", why=NO_PEER),
    "saliency_map": lambda b: Contest(
        attacks.SaliencyMap(),
        peers.art("SaliencyMapMethod", b.num_classes, theta=1.0, gamma=0.1, verbose=False),
        "l0",
    ),
    "hop_skip_jump": lambda b: Contest(
        attacks.HopSkipJump(steps=b.walk), peers.foolbox("HopSkipJumpAttack", steps=b.walk), "l2"
    ),
}
"""All contests by name."""
