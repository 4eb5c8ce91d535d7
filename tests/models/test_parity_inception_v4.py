import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import parity  # noqa: E402


@pytest.mark.parametrize("side", [75, 160, 299])
def test_logits_equal_timm(side):
    torch.manual_seed(0)
    net = timm.create_model("inception_v4", pretrained=False)
    net = parity.calibrate(torch, net, side)
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    parity.assert_equal_logits("inception_v4", state, parity.torch_logits(torch, net, side), side)
