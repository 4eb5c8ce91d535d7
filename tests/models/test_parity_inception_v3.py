import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

import parity  # noqa: E402


@pytest.mark.parametrize("side", [75, 160, 299])
def test_logits_equal_torchvision(side):
    torch.manual_seed(0)
    net = torchvision.models.inception_v3(
        weights=None, aux_logits=False, transform_input=False, init_weights=True
    )
    net = parity.calibrate(torch, net, side)
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    parity.assert_equal_logits("inception_v3", state, parity.torch_logits(torch, net, side), side)
