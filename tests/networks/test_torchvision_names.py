"""Names read from torchvision's source are those that torchvision registers."""

from torchvision import models

from fashion.networks.torchvision_names import torchvision_weights


def test_every_classification_network_and_its_weights_are_found():
    found = torchvision_weights()
    assert sorted(found) == models.list_models(module=models)
    for name, weights in found.items():
        assert list(weights) == list(models.get_model_weights(name).__members__)
