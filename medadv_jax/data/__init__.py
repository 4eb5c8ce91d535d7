"""Data sets as random-access sources of records, and batches of them.

`load` is the one entry to every data set. `batches` makes what training and evaluation consume,
`from_arrays` makes it of your own arrays.
"""

from medadv_jax.data import augment as augment, structures as structures
from medadv_jax.data.arrays import from_arrays as from_arrays
from medadv_jax.data.batches import Batches as Batches, batches as batches
from medadv_jax.data.registry import NAMES as NAMES, load as load
from medadv_jax.data.source import Source as Source
from medadv_jax.data.splits import SPLITS as SPLITS
