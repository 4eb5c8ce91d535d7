"""The structures of three tissues, by number."""

from medadv_jax.data.structures import NAMES

FLUIDS = [n for n, name in enumerate(NAMES) if "ventricle" in name]
GREYS = [n for n, name in enumerate(NAMES) if "cortex" in name]
WHITES = [n for n, name in enumerate(NAMES) if "white" in name]
