"""Attacks and noise on images, and `run`, the engine that runs them.

An attack is a frozen dataclass of hyperparameters; see `medadv_jax.types` for its protocol.
"""

from medadv_jax.attacks.aimed import Aimed as Aimed
from medadv_jax.attacks.apgd import APGD as APGD
from medadv_jax.attacks.asma import ASMA as ASMA
from medadv_jax.attacks.autoattack import AutoAttack as AutoAttack, autoattack as autoattack
from medadv_jax.attacks.bpda import BPDA as BPDA
from medadv_jax.attacks.carlini_wagner import CarliniWagner as CarliniWagner
from medadv_jax.attacks.combine import WorstCase as WorstCase
from medadv_jax.attacks.cospgd import CosPGD as CosPGD
from medadv_jax.attacks.dag import DAG as DAG
from medadv_jax.attacks.dag_target import dag_target as dag_target
from medadv_jax.attacks.deepfool import DeepFool as DeepFool
from medadv_jax.attacks.ead import EAD as EAD
from medadv_jax.attacks.eot import EOT as EOT
from medadv_jax.attacks.fab import FAB as FAB
from medadv_jax.attacks.fit_universal import (
    UniversalFit as UniversalFit,
    fit_universal as fit_universal,
)
from medadv_jax.attacks.gradient import BIM as BIM, FGSM as FGSM, PGD as PGD
from medadv_jax.attacks.hop_skip_jump import HopSkipJump as HopSkipJump
from medadv_jax.attacks.lbfgs import LBFGS as LBFGS
from medadv_jax.attacks.momentum import MIM as MIM
from medadv_jax.attacks.noise import (
    GaussianNoise as GaussianNoise,
    RicianNoise as RicianNoise,
    SignNoise as SignNoise,
    UniformNoise as UniformNoise,
)
from medadv_jax.attacks.region import Region as Region, foreground as foreground
from medadv_jax.attacks.restarts import Restarts as Restarts
from medadv_jax.attacks.run import run as run
from medadv_jax.attacks.saliency_map import SaliencyMap as SaliencyMap
from medadv_jax.attacks.sea import SEA as SEA, sea as sea
from medadv_jax.attacks.segpgd import SegPGD as SegPGD
from medadv_jax.attacks.single_step import RFGSM as RFGSM, StepLL as StepLL
from medadv_jax.attacks.square import Square as Square
from medadv_jax.attacks.sweep import sweep as sweep
from medadv_jax.attacks.targeted import Targeted as Targeted
from medadv_jax.attacks.transfer import Transfer as Transfer
from medadv_jax.attacks.universal import UniversalPerturbation as UniversalPerturbation
