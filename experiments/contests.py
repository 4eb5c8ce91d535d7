"""Which attack of ours the bench compares with which of another library, under one budget."""

from collections.abc import Callable
from typing import NamedTuple

from experiments import peers
from experiments.peers import Peer
from medadv_jax import attacks
from medadv_jax.types import Attack


class Contest(NamedTuple):
    """An attack of ours and one of others.

    Attributes:
      attack: Ours.
      peer: Theirs, None where no library has the attack.
      why: Why there is none.
    """

    attack: Attack
    peer: Peer | None
    why: str = ""

    @property
    def minimal(self) -> bool:
        """Whether ours looks for the smallest perturbation."""
        return bool(getattr(self.attack, "minimal", False))


class Budget(NamedTuple):
    """What both sides of a contest may spend.

    Attributes:
      eps: Radius of the Linf balls.
      eps_l2: Radius of the L2 balls.
      steps: Of one search of the minimising attacks, and 64 of these for the decision-based one.
      queries: Of the random searches.
      num_classes: Classes of the network.
    """

    eps: float
    eps_l2: float
    steps: int
    queries: int
    num_classes: int


NO_PEER = "no other library has it in the paper's form"


def _eps(budget: Budget, norm: str) -> float:
    return budget.eps if norm == "linf" else budget.eps_l2


CONTESTS: dict[str, Callable[[Budget], Contest]] = {
    "fgsm": lambda b: Contest(
        attacks.FGSM(eps=b.eps), peers.foolbox("LinfFastGradientAttack", b.eps)
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
    ),
    "rfgsm": lambda b: Contest(attacks.RFGSM(eps=b.eps), None, NO_PEER),
    "bim": lambda b: Contest(
        attacks.BIM(eps=b.eps, until_fooled=True),
        peers.foolbox(
            "LinfBasicIterativeAttack", b.eps, rel_stepsize=0.25, steps=10, random_start=False
        ),
    ),
    "mim": lambda b: Contest(
        attacks.MIM(eps=b.eps, until_fooled=True),
        peers.torchattacks("MIFGSM", eps=b.eps, alpha=b.eps / 10, steps=10, decay=1.0),
    ),
    "pgd": lambda b: Contest(
        attacks.PGD(eps=b.eps, until_fooled=True),
        peers.foolbox("LinfPGD", b.eps, rel_stepsize=0.25, steps=10),
    ),
    "pgd_l2": lambda b: Contest(
        attacks.PGD(eps=b.eps_l2, norm="l2", until_fooled=True),
        peers.foolbox("L2PGD", b.eps_l2, rel_stepsize=0.25, steps=10),
    ),
    **{
        f"apgd_{loss}_{norm}": lambda b, loss=loss, norm=norm: Contest(
            attacks.APGD(eps=_eps(b, norm), norm=norm, loss=loss, until_fooled=True),
            peers.authors("autopgd_base", "APGDAttack", norm, eps=_eps(b, norm), loss=loss),
        )
        for loss in ("ce", "dlr")
        for norm in ("linf", "l2")
    },
    "apgd_t": lambda b: Contest(
        attacks.autoattack(b.eps).parts()[1],
        peers.authors(
            "autopgd_base",
            "APGDAttack_targeted",
            "linf",
            eps=b.eps,
            n_target_classes=min(9, b.num_classes - 1),
        ),
    ),
    **{
        f"fab_{norm}": lambda b, norm=norm: Contest(
            attacks.FAB(norm=norm),
            peers.authors("fab_pt", "FABAttack_PT", norm, eps=_eps(b, norm)),
        )
        for norm in ("linf", "l2")
    },
    **{
        f"square_{norm}": lambda b, norm=norm: Contest(
            attacks.Square(eps=_eps(b, norm), norm=norm, steps=b.queries),
            peers.authors(
                "square",
                "SquareAttack",
                norm,
                eps=_eps(b, norm),
                n_queries=b.queries,
                resc_schedule=False,
            ),
        )
        for norm in ("linf", "l2")
    },
    **{
        f"autoattack_{norm}": lambda b, norm=norm: Contest(
            attacks.autoattack(_eps(b, norm), norm),
            peers.autoattack(_eps(b, norm), norm, b.num_classes),
        )
        for norm in ("linf", "l2")
    },
    "deepfool_l2": lambda b: Contest(
        attacks.DeepFool(), peers.foolbox("L2DeepFoolAttack", candidates=10, overshoot=0.02)
    ),
    "deepfool_linf": lambda b: Contest(
        attacks.DeepFool(norm="linf"),
        peers.foolbox("LinfDeepFoolAttack", candidates=10, overshoot=0.02),
    ),
    "carlini_wagner": lambda b: Contest(
        attacks.CarliniWagner(steps=b.steps),
        peers.foolbox("L2CarliniWagnerAttack", steps=b.steps),
    ),
    "ead": lambda b: Contest(
        attacks.EAD(steps=b.steps),
        peers.foolbox("EADAttack", steps=b.steps, regularization=1e-3),
    ),
    "lbfgs": lambda b: Contest(attacks.LBFGS(), None, NO_PEER),
    "saliency_map": lambda b: Contest(
        attacks.SaliencyMap(),
        peers.art("SaliencyMapMethod", b.num_classes, theta=1.0, gamma=0.1, verbose=False),
    ),
}
"""All contests by name."""
