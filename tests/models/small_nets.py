"""The small nets of the table of models, and what they compute."""

import functools

import jax
import jax.numpy as jnp
from tables import MODELS

from medadv_jax import models


def create(name, num_classes=3, **options):
    row = MODELS[name]
    return models.create(row.name, num_classes, **{**row.options, **options})


@functools.cache
def small(name):
    """A small net's first weights, and its compiled function in evaluation and in training."""
    model, shape = create(name, dropout=0.5), MODELS[name].shape
    variables = models.init(jax.random.key(1), model, shape)

    @jax.jit
    def run(variables, images, key):
        evaluated, kept = models.apply(model, variables, images)
        trained, learnt = models.apply(model, variables, images, train=True, key=key)
        slope = jax.grad(lambda x: jnp.sum(models.apply(model, variables, x)[0] ** 2))(images)
        return evaluated, kept, trained, learnt, slope

    return variables, jax.random.uniform(jax.random.key(2), (4, *shape)), run
