"""A bad setting is one line that names it; a good one is filled with the loss's usual values."""

import math
from dataclasses import fields

import pytest

from fashion.errors import InputError
from fashion.losses import LossSettings, build_loss
from fashion.losses.settings import USUAL

BAD = {
    "loss.name: found 'triplets', expected one of": {"name": "triplets"},
    "loss.mining: found 'hardest', expected one of random, all": {"name": "triplet", "mining": "hardest"},
    "loss.mining: found hard, but tuplet has no such setting": {"mining": "hard"},
    "loss.temperature: found 0.1, but triplet has no such setting": {"name": "triplet", "temperature": 0.1},
    "loss.distance: found euclidean, but multi-similarity": {"name": "multi-similarity", "distance": "euclidean"},
    "loss.temperature: found 0.0, expected more than 0": {"temperature": 0.0},
    "loss.temperature: found nan, expected more than 0": {"temperature": math.nan},
    "loss.margin: found -0.1, expected at least 0": {"margin": -0.1},
    "loss.margin: found inf": {"margin": math.inf},
    "loss.threshold: found 2, expected -1 to 1": {"name": "multi-similarity", "threshold": 2},
    "loss.bound: found 0.2, expected less than loss.margin (0.1)": {"name": "improved-triplet", "bound": 0.2},
    "loss.bound: found 0.05, expected less than loss.margin (0.05)": {"name": "improved-triplet", "margin": 0.05},
    "loss.second_margin: found 2, expected less than loss.margin": {"name": "quadruplet", "second_margin": 2},
    "loss.margin: found 0.0, expected more than 0": {"name": "soft-triplet", "mining": "semi-hard"},
    "loss.fallback: found true with mining all": {"name": "triplet", "mining": "all", "fallback": True},
    "loss.direction: found consumer-to-shop, expected loss.domains cross": {
        "direction": "consumer-to-shop",
        "domains": "any",
    },
    "loss.memory: found 8, expected 0, as proxy-anchor": {"name": "proxy-anchor", "memory": 8},
    "loss.memory: found -1, expected at least 0": {"memory": -1},
    "loss.memory_warmup: found 5 without loss.memory": {"memory_warmup": 5},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_settings_are_named(message):
    with pytest.raises(InputError) as raised:
        LossSettings(**BAD[message])
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", USUAL)
def test_usual_values_fill_what_the_loss_has_and_are_kept_when_given(name):
    assert {key: getattr(LossSettings(name=name).filled(), key) for key in USUAL[name]} == USUAL[name]
    for key, value in USUAL[name].items():
        if isinstance(value, float):
            assert getattr(LossSettings(name=name, **{key: value * 0.99 + 1e-3}).filled(), key) == value * 0.99 + 1e-3
    unused = {key for usual in USUAL.values() for key in usual} - set(USUAL[name])
    assert all(getattr(LossSettings(name=name).filled(), key) is None for key in unused)


@pytest.mark.parametrize("name", USUAL)
def test_only_what_is_learnt_is_a_parameter(name):
    loss = build_loss(LossSettings(name=name), dimension=8, classes=5)
    expected = {"proxy-anchor": [(5, 8)], "normalised-softmax": [(5, 8)], "margin": [()]}.get(name, [])
    assert [tuple(p.shape) for p in loss.parameters()] == expected


def test_the_seed_decides_the_proxies():
    build = lambda seed: build_loss(LossSettings(name="proxy-anchor"), dimension=8, classes=5, seed=seed)  # noqa: E731
    first, again, other = (build(seed).formula.proxies for seed in (1, 1, 2))
    assert first.equal(again) and not first.equal(other)


def test_the_default_is_the_designed_tuplet_across_domains_both_ways():
    s = LossSettings().filled()
    assert (s.name, s.margin, s.temperature, s.domains, s.direction) == ("tuplet", 0.2, 0.1, "cross", "both")
    assert {f.name for f in fields(s)} >= {key for usual in USUAL.values() for key in usual}
