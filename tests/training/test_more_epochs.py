"""A run that has begun goes on to more epochs, or to fewer, and says so; an epoch is shown once."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from fashion.errors import InputError
from fashion.losses import LossSettings, build_loss
from fashion.networks.files import load_network
from fashion.networks.model import build_network
from fashion.networks.settings import NetworkSettings
from fashion.pipelines import log
from fashion.pipelines.train_lines import TrainLines
from fashion.storage import Store
from fashion.training.checkpoint import NETWORK, checkpoint_name, read_training_state, write_checkpoint
from fashion.training.events import EpochDone, StepDone
from fashion.training.history import EpochRow
from fashion.training.job import draft_job
from fashion.training.loop import Trainer
from fashion.training.recipe import OptimizerSettings
from fashion.training.resume import goes_on, held_epochs, rate_of
from fashion.training.run_record import RUN, open_run
from fashion.training.settings import BatchSettings, TrainSettings, ValidationSettings
from fashion.training.validate import Validation
from tests.catalogues import make_table, photos
from tests.training import running
from tests.training.test_resume import batches

STEPS = 3
SETTINGS = TrainSettings(
    epochs=2,
    precision="float32",
    batch=BatchSettings(items=8, crop="whole"),
    network=NetworkSettings(name="embnet", size=32, width=0.25, dimension=16, pretrained=None),
    loss=LossSettings(name="triplet", domains="cross"),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    table = make_table(Store(tmp_path_factory.mktemp("more")), photos(40, splits=("train", "train", "train", "val")))
    table.manifest = replace(table.manifest, domains=["consumer", "shop"])
    return table


def trainer(settings, plan, network=None):
    start = partial(build_network, settings.network, seed=0)
    loss = build_loss(settings.loss, dimension=16, classes=plan.items)
    return Trainer(settings, network or start(), loss, steps=plan.steps, device=torch.device("cpu"), start=start)


def begun(table, run, settings=SETTINGS):
    """The run in `run`, trained to its end; returns what trained it."""
    job = draft_job(settings, table, run)
    open_run(run, job.record)
    trained = trainer(job.settings, job.plan)
    validation = Validation(table, items=100, size=32, crop="whole", threads=1)
    running.run(trained, batches(table, job.plan, range(settings.epochs)), validation)
    folder = f"{run.path}/{checkpoint_name(settings.epochs - 1)}"
    Store(folder).write("mark", b"")
    write_checkpoint(folder, trained.kept, trained.state(), history=trained.history, run=job.record)
    return trained


def test_a_finished_run_goes_on_to_more_epochs_by_the_schedule_of_all(table, tmp_path):
    run = Store(tmp_path / "run")
    first = begun(table, run)
    more = draft_job(replace(SETTINGS, epochs=4), table, run)
    assert held_epochs(run) == 2 and more.settings.epochs == 4
    open_run(run, more.record)
    assert run.read_json(RUN)["settings"]["epochs"] == 4
    folder = f"{run.path}/{checkpoint_name(1)}"
    network, _ = load_network(Store(folder), NETWORK)
    second = trainer(more.settings, more.plan, network)
    second.restore(*read_training_state(folder))
    running.run(
        second, batches(table, more.plan, range(2, 4)), Validation(table, items=100, size=32, crop="whole", threads=1)
    )

    assert [row.epoch for row in second.history] == [0, 1, 2, 3] and second.history[:2] == first.history
    steps = more.plan.steps
    rates = [row.learning_rate for row in second.history]
    assert rates == [rate_of(SETTINGS, steps * e - 1, total=2 * steps) for e in (1, 2)] + [
        rate_of(SETTINGS, steps * e - 1, total=4 * steps) for e in (3, 4)
    ]
    assert rates[2] > 3 * rates[1] and rates[3] < rates[2]
    assert draft_job(replace(SETTINGS, epochs=None), table, run).settings.epochs == 4  # the run's own, not the usual


def test_fewer_epochs_than_are_done_are_refused_and_others_are_not(table, tmp_path):
    run = Store(tmp_path / "run")
    begun(table, run)
    with pytest.raises(InputError, match=r"^epochs: found 1, but .*/run has 2 done; give 2 or more, or another --run$"):
        draft_job(replace(SETTINGS, epochs=1), table, run)
    open_run(run, draft_job(replace(SETTINGS, epochs=9), table, run).record)
    open_run(run, draft_job(replace(SETTINGS, epochs=2), table, run).record)
    assert held_epochs(run) == 2
    with pytest.raises(InputError, match=r"made with seed 0, and 1 was asked for"):
        open_run(run, draft_job(replace(SETTINGS, epochs=5, seed=1), table, run).record)
    assert held_epochs(run) == 2


def test_a_run_that_ended_at_an_interpolated_average_is_not_gone_on_with(table, tmp_path):
    run = Store(tmp_path / "run")
    settings = replace(SETTINGS, optimizer=OptimizerSettings(average=0.9))
    begun(table, run, settings)
    held = run.read_json(RUN)
    run.write_json(RUN, held | {"settings": held["settings"] | {"interpolate": True}})
    network = replace(SETTINGS.network, pretrained="imagenet.safetensors")
    with pytest.raises(InputError, match="that average is not kept; choose another --run"):
        draft_job(replace(settings, epochs=4, interpolate=True, network=network), table, run)


@pytest.mark.parametrize(
    ("epochs", "done", "held", "said"),
    [
        (4, 0, None, None),
        (4, 0, 2, None),
        (4, 1, 4, "goes on after epoch 1 of 4"),
        (4, 4, 4, "all 4 epochs are done"),
        (2, 2, 4, "all 2 epochs are done, of the 4 that were to be"),
    ],
)
def test_what_is_said_of_a_run_that_has_begun(epochs, done, held, said):
    assert goes_on(replace(SETTINGS, epochs=epochs), done=done, held=held, steps=STEPS) == said


def test_the_schedule_is_said_where_the_end_moves():
    line = goes_on(replace(SETTINGS, epochs=4), done=2, held=2, steps=100)
    before, after = (rate_of(SETTINGS, s, total=t) for s, t in ((199, 200), (200, 400)))
    assert line.startswith("goes on after epoch 2 of 4, where 2 were to be: ")
    assert f"goes from {before:.2g} to {after:.2g}, and ends near 0 after epoch 4" in line and after > before


def test_an_epoch_is_shown_once_and_a_restart_is_said(capsys):
    log.show()

    class Bar:
        def to(self, *_, **__):
            pass

    show = TrainLines(Bar(), 2, SETTINGS)
    epoch = {"loss": 1.0, "images_per_s": 1.0, "data_wait_s": 0.0, "seconds": 1.0, "step_s": 0.1, "advice": None}
    step = {"loss": 1.0, "wait_s": 0.1, "step_s": 0.1, "images": 4}
    done = lambda epoch, at: StepDone(epoch=epoch, step=at, **step)  # noqa: E731
    for at in ((0, 0), (0, 1), 0, (1, 0), 1, (1, 0), (1, 1), 1):
        show(done(*at) if isinstance(at, tuple) else EpochDone(row=EpochRow(epoch=at, **epoch)))
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split("  loss")[0].split()) for line in lines] == [
        "epoch 1/2",
        "epoch 2/2",
        "a fault ended the workers: goes on after epoch 1",
    ]


def test_more_epochs_are_validated_as_often_as_the_run_was_begun(table, tmp_path):
    run = Store(tmp_path)
    settings = replace(SETTINGS, epochs=60)
    open_run(run, draft_job(settings, table, run).record)
    assert run.read_json(RUN)["settings"]["validation"]["every"] == 2
    job = draft_job(replace(settings, epochs=400), table, run)
    assert job.settings.validation.every == 2
    open_run(run, job.record)
    with pytest.raises(InputError, match="every"):
        open_run(run, draft_job(replace(settings, validation=ValidationSettings(every=5)), table, run).record)
