"""Clean against perturbed performance of models, white box and black box.

`matrix` gives rows; `run` gives the evaluation that `rows`, `parts` and `examples` read.
"""

from medadv_jax.evaluate.cells import GALLERY as GALLERY
from medadv_jax.evaluate.details import Picture as Picture, examples as examples, parts as parts
from medadv_jax.evaluate.grid import Crossing as Crossing, Evaluation as Evaluation, run as run
from medadv_jax.evaluate.making import record_keys as record_keys
from medadv_jax.evaluate.rows import matrix as matrix, rows as rows
