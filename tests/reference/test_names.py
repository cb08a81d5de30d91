"""Names of the reference rooms that outside code relies on."""

import importlib

import pytest

NAMES = {
    "data": {
        "cifar10",
        "cifar100",
        "cubic",
        "diabetes",
        "digits",
        "grating_digits",
        "grating_images",
        "image_folder",
        "noisy_labels",
        "patches",
        "uci",
    },
    "models": {
        "alternet",
        "autoencoder",
        "film_resnet",
        "gaussian_mlp",
        "mixer",
        "mlp",
        "resnet",
        "vgg",
        "vit",
        "windowed",
    },
    "layers": {"Blur", "FiLMNorm2d", "FilterRanges", "FrequencyDropout", "Prob", "Smooth"},
    "training": {
        "AdversarialAugmentation",
        "AdversarialSmoothing",
        "CrossEntropy",
        "Divergence",
        "FilteredTraining",
        "MemberCrossEntropy",
        "NoiseConsistency",
        "RegressionLoss",
        "evaluate",
        "train",
    },
    "uncertainty": {
        "DeepEnsemble",
        "Draws",
        "FiLMEnsemble",
        "GaussianHead",
        "LinearisedLaplace",
        "MCDropout",
        "Mixture",
        "Point",
        "PosteriorSamples",
        "Predictive",
        "TemperatureScaled",
        "film",
        "film_member",
        "members_as_plain",
        "fit_laplace",
        "hmc",
        "hmc_posterior",
        "linearised_laplace",
        "map_estimate",
        "map_network",
        "mc_dropout",
        "posterior_samples",
        "spread_ensemble",
        "stored_posterior",
        "temperature_scaled",
        "Variational",
        "kl",
        "variational",
        "variational_network",
    },
    "compression": {"prune"},
}


@pytest.mark.parametrize("room", NAMES)
def test_public_names_are_reachable_and_listed(room):
    """Oracle: the names of the public contract, written down here; all that is listed exists."""
    package = importlib.import_module(f"landscape.reference.{room}")
    assert set(package.__all__) >= NAMES[room]
    assert all(hasattr(package, name) for name in package.__all__)
