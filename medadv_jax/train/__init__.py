"""Training: objectives to minimise, optimizers, and the one loop that runs them."""

from medadv_jax.train.fit import Fit as Fit, fit as fit
from medadv_jax.train.objective import Objective as Objective, supervised as supervised
from medadv_jax.train.optimizer import optimizer as optimizer
