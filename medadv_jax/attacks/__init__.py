"""Attacks and noise on images, and `run`, the engine that runs them.

An attack is a frozen dataclass of hyperparameters; see `medadv_jax.types` for its protocol.
"""

from medadv_jax.attacks.combine import WorstCase as WorstCase
from medadv_jax.attacks.gradient import FGSM as FGSM
from medadv_jax.attacks.noise import (
    GaussianNoise as GaussianNoise,
    SignNoise as SignNoise,
    UniformNoise as UniformNoise,
)
from medadv_jax.attacks.run import run as run
