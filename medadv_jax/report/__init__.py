"""What an evaluation found: a console table, machine-readable rows, figures and one HTML page.

`write` fills the folder of a run; `table` is for the console.
"""

from medadv_jax.report.breakdown import Breakdown, recalls, structures
from medadv_jax.report.console import table
from medadv_jax.report.folder import write
from medadv_jax.report.rows import KEYS
from medadv_jax.report.slices import Slider, slider
from medadv_jax.report.splits import sizes
from medadv_jax.report.store import read_rows

__all__ = [
    "KEYS",
    "Breakdown",
    "Slider",
    "read_rows",
    "recalls",
    "sizes",
    "slider",
    "structures",
    "table",
    "write",
]
