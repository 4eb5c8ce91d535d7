import os

import numpy as np
import parity
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")


@pytest.mark.parametrize("side, width", [(160, 1.0), (129, 0.5), (75, 0.25), (32, 1.0)])
def test_logits_equal_keras(side, width):
    keras.utils.set_random_seed(0)
    net = keras.applications.MobileNet(
        input_shape=(side, side, 3), alpha=width, weights=None, classifier_activation=None
    )
    rng = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.2, layer.beta.shape))
    net(parity.images(side), training=True)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign_add(0.1 * rng.normal(size=layer.moving_mean.shape))
            scale = rng.uniform(0.8, 1.2, layer.moving_variance.shape)
            layer.moving_variance.assign(layer.moving_variance * scale)
    state = {weight.path: np.asarray(weight) for weight in net.weights}
    theirs = np.asarray(net(parity.images(side)))
    parity.assert_equal_logits("mobilenet", state, theirs, side, width=width)
