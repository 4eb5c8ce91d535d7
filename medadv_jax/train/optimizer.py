"""The optimizers of the experiments, from optax."""

from typing import Any

import jax
import optax


def _is_kernel(params: Any) -> Any:
    """Weight decay is for kernels: biases and the scales of BatchNorm have one axis."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def optimizer(
    name: str,
    learning_rate: float,
    steps: int,
    *,
    warmup: float = 0.05,
    weight_decay: float = 0.05,
    clip_norm: float = 1.0,
    momentum: float = 0.9,
) -> optax.GradientTransformation:
    """An optax optimizer with a linear warm-up, a cosine decay to zero and clipped gradients.

    Weight decay is decoupled (Loshchilov & Hutter 2019) and leaves biases and BatchNorm alone.

    Args:
      name: "adamw", "sgd" (Nesterov momentum) or "rmsprop" (decay 0.9, the optimizer of the
        Inception papers).
      learning_rate: Its peak.
      steps: Length of the schedule.
      warmup: Share of the steps in which the learning rate rises from 0 to its peak.
      weight_decay: Factor of the decay, times the learning rate in each step.
      clip_norm: Largest global norm of a gradient; longer ones are scaled down.
      momentum: Momentum of "sgd" and "rmsprop".

    Returns:
      The gradient transformation.

    Raises:
      ValueError: An unknown name.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, warmup_steps=round(warmup * steps), decay_steps=steps
    )
    scales = {
        "adamw": optax.scale_by_adam(),
        "sgd": optax.trace(momentum, nesterov=True),
        "rmsprop": optax.chain(optax.scale_by_rms(decay=0.9), optax.trace(momentum)),
    }
    if name not in scales:
        raise ValueError(f"optimizer is one of {', '.join(scales)}, got {name!r}.")
    return optax.chain(
        optax.clip_by_global_norm(clip_norm),
        scales[name],
        optax.add_decayed_weights(weight_decay, mask=_is_kernel),
        optax.scale_by_learning_rate(schedule),
    )
