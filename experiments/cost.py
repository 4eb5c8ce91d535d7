"""What an attack asks of a network."""

import dataclasses


@dataclasses.dataclass
class Cost:
    """Images that a network was differentiated at, and images that it was only evaluated at.

    Attributes:
      gradients: Backward passes, in images.
      forwards: Forward passes without a backward pass, in images.
    """

    gradients: int = 0
    forwards: int = 0
