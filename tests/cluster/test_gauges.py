"""Figures of jobs as Ray exports them."""

from types import SimpleNamespace

import pytest

from cluster.gauges import Gauges
from fashion.training.history import EpochRow


@pytest.fixture
def told(monkeypatch):
    """What Ray's gauges are set to: (name, tags) -> value."""
    held = {}

    class Gauge:
        def __init__(self, name, description="", tag_keys=()):
            self.name = name  # Ray's own gauges come here too
            if name.startswith("fashion_"):
                assert name.isidentifier() and description and tag_keys == ("folder",)

        def set(self, value, tags=None):
            if self.name.startswith("fashion_"):
                assert isinstance(value, float)
                held[self.name, tags["folder"]] = value

        def set_default_tags(self, tags):
            pass

    monkeypatch.setattr("ray.util.metrics.Gauge", Gauge)
    return held


def test_training_says_how_it_goes(told):
    from fashion.pipelines.train_lines import measure
    from fashion.storage import Store
    from fashion.training.events import EpochDone, StepDone

    show = measure(Store("s3://shop/run"))
    show(StepDone(epoch=0, step=0, loss=2.0, wait_s=0.1, step_s=0.3, images=80))
    show(StepDone(epoch=0, step=1, loss=None, wait_s=0.0, step_s=0.4, images=80))  # a GPU's loss, not read
    show(EpochDone(row=EpochRow(epoch=0, loss=1.5, recall={"1": 0.25, "5": 0.5})))
    figures = {name.removeprefix("fashion_train_"): value for (name, folder), value in told.items()}
    assert {folder for _, folder in told} == {"s3://shop/run"}
    assert figures == {
        "loss": 2.0, "images_per_s": 200.0, "wait_fraction": 0.0, "epoch": 1.0, "recall_at_1": 0.25, "recall_at_5": 0.5,
    }  # fmt: skip


def test_a_folder_of_other_letters_is_tagged_in_ascii(told):
    """Ray's metrics take nothing else."""
    Gauges("train", "s3://shop/In-shop Clothes/é日本 #1%20").set({"loss": 1.0})
    assert told == {("fashion_train_loss", "s3://shop/In-shop Clothes/%C3%A9%E6%97%A5%E6%9C%AC #1%20"): 1.0}


def test_preparing_counts_what_is_set_aside(told, tmp_path, monkeypatch):
    from fashion.data.settings import TableSettings
    from fashion.pipelines import prepare
    from fashion.storage import Store

    def prepared(source, out, settings, *, task_cpus, warn, progress, plan):
        progress(0, 9, {"bad": 0})
        progress(9, 9, {"bad": 2})
        return SimpleNamespace(manifest=SimpleNamespace(splits={}), fingerprint="0")

    monkeypatch.setattr("fashion.data.prepare.run.prepare", prepared)
    prepare.prepare_table(Store(tmp_path / "shop"), Store(tmp_path / "table"), TableSettings())
    folder = str(tmp_path / "table")
    assert told == {
        ("fashion_prepare_images", folder): 9, ("fashion_prepare_images_in_all", folder): 9,
        ("fashion_prepare_quarantined", folder): 2,
    }  # fmt: skip
