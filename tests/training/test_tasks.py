"""Tasks learnt at once: W workers, or chunks, give the gradient of one worker on the whole batch, whoever has the labels;
turns; and which settings are refused."""

import pytest
import torch

from fashion.errors import InputError
from fashion.losses import LossSettings, build_loss
from fashion.losses import labels as of
from fashion.losses.settings import TASKS
from fashion.networks.heads import to_sphere
from fashion.networks.outputs import Outputs
from fashion.networks.settings import NetworkSettings
from fashion.training.augment import draw, move_landmarks
from fashion.training.distributed import replicate
from fashion.training.recipe import AugmentationSettings, TaskSettings
from fashion.training.settings import BatchSettings, ResourceSettings, TrainSettings
from fashion.training.step import Batch, Labelled, StepContext, backward
from fashion.training.tasks import Tasks
from tests.training.group import in_group

P, K, M, SIZE, C, A = 6, 2, 4, 16, 3, 5
WORKERS = 2
SCHEDULES = [
    TaskSettings(landmarks=3.0, visibility=0.7, category=0.4, attributes=1.5, embedding=0.8),
    TaskSettings(schedule="alternating", minor=0.25, pose_epochs=2),
]


class Everything(torch.nn.Module):
    """All the outputs of a FashionNet, without batch normalisation: its statistics would depend on the part of the
    batch."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = {"z": 8, "landmarks": 16, "visibility": 32, "category": C, "attributes": A}
        self.weights = torch.nn.ParameterDict(
            {name: torch.randn(3 * 16, n, generator=generator) * 0.1 for name, n in shapes.items()}
        )

    def forward(self, images, domains, *, everything=False):
        x = torch.nn.functional.adaptive_avg_pool2d(images, 4).flatten(1).tanh()
        found = {name: x @ weight for name, weight in self.weights.items()}
        z, norm = to_sphere(found["z"])
        landmarks, visibility = 0.5 + found["landmarks"].unflatten(1, (8, 2)), found["visibility"].unflatten(1, (8, 4))
        return Outputs(z, norm, landmarks, visibility, found["category"], found["attributes"])


def truth_of(count, seed):
    """Labels of which the first half of the pictures, the first worker's, has hardly any."""
    g = torch.Generator().manual_seed(seed)
    landmarks = torch.rand(count, 8, 3, generator=g) * 0.6 + 0.2
    landmarks[..., 0] = torch.randint(-1, 3, (count, 8), generator=g).float()
    category = torch.randint(0, C, (count,), generator=g)
    known = torch.rand(count, A, generator=g) < 0.8
    poor = torch.arange(count) < count // 2
    landmarks[poor, :, 0], category[poor], known[poor] = -2, -1, False
    return of.Labels(category, torch.rand(count, A, generator=g) < 0.4, known, landmarks)


def batch(step, *, slots=1, worker=0, labelled=True):
    g = torch.Generator().manual_seed(step)
    images = torch.randint(0, 256, (P * K, 3, SIZE, SIZE), generator=g, dtype=torch.uint8)
    more = torch.randint(0, 256, (M, 3, SIZE, SIZE), generator=g, dtype=torch.uint8)
    place, mine = torch.arange(P * K).view(slots, -1)[worker], torch.arange(M).view(slots, -1)[worker]
    labels, domains = torch.arange(P * K) // K, torch.arange(P * K) % 2
    truth = truth_of(P * K, step).map(lambda x: x[place])
    if labelled:
        truth = truth.followed_by(truth_of(M, 100 + step).map(lambda x: x[mine]))
    return Batch(
        images[place],
        labels[place],
        domains[place],
        None,
        place,
        Labelled(more[mine], torch.ones(len(mine), dtype=torch.int64), mine) if labelled else None,
        truth,
    )


BALANCE = of.balance_of(torch.tensor([10.0, 2, 30, 5, 1]), torch.full((A,), 50.0), "attribute")


def context(settings, chunk=0, network=None):
    loss = build_loss(LossSettings(), dimension=8, classes=P, seed=3)
    return StepContext(
        network or Everything(), loss, AugmentationSettings(), chunk, False, seed=5, tasks=Tasks(settings, BALANCE)
    )


def train(context, slots=1, worker=0, steps=4, labelled=True):
    optimizer = torch.optim.SGD(context.network.parameters(), 0.2)
    told = []
    for step in range(steps):
        optimizer.zero_grad()
        result = backward(context, batch(step, slots=slots, worker=worker, labelled=labelled), epoch=step, step=0)
        told.append([float(result.loss), *(float(x) for s in result.sums.values() for x in (s.total, s.count))])
        optimizer.step()
    return told, [p.detach().clone() for p in context.network.parameters()]


def _worker(worker, workers, results):
    for i, settings in enumerate(SCHEDULES):
        for chunk in (0, 3):
            found = train(context(settings, chunk, replicate(Everything(), torch.device("cpu"))), workers, worker)
            if worker == 0:
                results[i, chunk] = found


@pytest.fixture(scope="module")
def several_workers(tmp_path_factory):
    return in_group(WORKERS, tmp_path_factory.mktemp("gloo"), _worker)


@pytest.mark.parametrize("chunk", [0, 3])
@pytest.mark.parametrize("i", range(len(SCHEDULES)))
def test_workers_equal_one_on_the_whole_batch(several_workers, i, chunk):
    told, parameters = train(context(SCHEDULES[i]))
    theirs, their_parameters = several_workers[i, chunk]
    torch.testing.assert_close(torch.tensor(theirs), torch.tensor(told), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(their_parameters, parameters, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 7, 15])
@pytest.mark.parametrize("labelled", [True, False])
def test_gradient_caching_equals_the_plain_step(chunk, labelled):
    told, parameters = train(context(SCHEDULES[0]), labelled=labelled)
    again, theirs = train(context(SCHEDULES[0], chunk), labelled=labelled)
    torch.testing.assert_close(torch.tensor(again), torch.tensor(told), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(theirs, parameters, rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_weighted_sum_of_means_over_what_is_labelled():
    """The oracle takes each task's mean by itself; its pictures are not augmented."""
    still = dict(zoom=0, stretch=0, rotation=0, flip=False, brightness=0, contrast=0, saturation=0, tint=0, erase=0)
    one = context(SCHEDULES[0])
    one = StepContext(one.network, one.loss, AugmentationSettings(**still), 0, False, 5, one.tasks)
    part = batch(2)
    seen = []
    one.network.register_forward_hook(lambda module, inputs, found: seen.append(found))
    result = backward(one, part, epoch=0, step=0)
    (found,), truth, s = seen, part.truth, SCHEDULES[0]
    draws = draw(len(part.truth.category_N), AugmentationSettings(**still), torch.Generator().manual_seed(0))
    truth = truth.with_landmarks(move_landmarks(truth.landmarks_N83, draws))
    visible, annotated = truth.landmarks_N83[..., 0] == 0, truth.landmarks_N83[:, 0, 0] != -2
    kinds = truth.landmarks_N83[annotated][..., 0].long() % 4  # no such landmark, -1, is class 3
    named = truth.category_N >= 0
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        found.attribute_NA,
        truth.attributes_NA.float(),
        torch.where(truth.attributes_NA, BALANCE.present_A, BALANCE.absent_A),
        reduction="none",
    )
    parts = {
        "landmarks": (found.landmarks_N82 - truth.landmarks_N83[..., 1:])[visible].square().sum(1).mean(),
        "visibility": torch.nn.functional.cross_entropy(found.visibility_N84[annotated].flatten(0, 1), kinds.flatten()),
        "category": torch.nn.functional.cross_entropy(found.category_NC[named], truth.category_N[named]),
        "attributes": entropy[truth.known_NA].mean(),
    }
    expected = s.embedding * result.statistics["loss_embedding"]
    for name, value in parts.items():
        assert float(result.sums[name].total / result.sums[name].count) == pytest.approx(
            float(value.detach()), rel=1e-5
        )
        expected = expected + getattr(s, name) * value.detach()
    assert float(result.loss) == pytest.approx(float(expected), rel=1e-5)


def test_turns_weigh_landmarks_first_and_then_the_rest():
    settings = TaskSettings(
        embedding=1,
        landmarks=8,
        visibility=2,
        category=4,
        attributes=6,
        schedule="alternating",
        pose_epochs=2,
        minor=0.5,
    )
    pose, rest = [8, 2, 2, 3, 0.5], [4, 1, 4, 6, 1]
    names = ("landmarks", "visibility", "category", "attributes", "embedding")
    assert [[settings.weights(e)[n] for n in names] for e in range(6)] == [pose, pose, rest, pose, pose, rest]
    joint = TaskSettings(landmarks=8)
    assert joint.weights(0) == joint.weights(7) and joint.weights(3)["landmarks"] == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"landmarks": -1.0}, r"tasks\.landmarks: found -1\.0, expected at least 0"),
        ({"minor": float("inf")}, r"tasks\.minor: found inf"),
        ({"schedule": "turns"}, r"tasks\.schedule: found 'turns', expected one of joint, alternating"),
        ({"attribute_balance": "both"}, r"tasks\.attribute_balance: found 'both'"),
        ({"pose_epochs": 0}, r"tasks\.pose_epochs: found 0, expected at least 1"),
        (dict.fromkeys(("embedding", *TASKS), 0.0), r"tasks: all weights are 0"),
    ],
)
def test_task_settings_are_checked(values, message):
    with pytest.raises(InputError, match=f"^{message}"):
        TaskSettings(**values)


def test_a_plain_network_has_no_tasks_and_its_run_is_what_it_was_before_there_were_any():
    with pytest.raises(InputError, match=r"^tasks\.category: found 2\.0, but a plain network learns embeddings only"):
        TrainSettings(tasks=TaskSettings(category=2.0))
    plain = TrainSettings().identity()
    assert "tasks" not in plain and "labels" not in plain["batch"] and "hidden" not in plain["network"]
    fashionnet = TrainSettings(
        network=NetworkSettings(name="embnet", design="fashionnet"), tasks=TaskSettings(category=2.0)
    ).identity()
    assert fashionnet["tasks"]["category"] == 2 and fashionnet["batch"]["labels"] == 64


def test_labelled_pictures_are_shared_out_like_items():
    settings = TrainSettings(batch=BatchSettings(items=66, labels=64), resources=ResourceSettings(workers=3))
    with pytest.raises(InputError, match=r"^batch\.labels: found 64 for 3 workers .* a multiple of that; 63 is one$"):
        settings.check_shares("labels")
    with pytest.raises(InputError, match=r"^batch\.labels: found 0"):
        BatchSettings(labels=0)
