"""What a user chooses about a training run: one value that says everything the result depends on."""

import math
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Literal

from fashion.data.mining import MiningSettings
from fashion.errors import InputError
from fashion.losses.settings import LossSettings
from fashion.networks.settings import RESNET10, NetworkSettings
from fashion.setting_ranges import check, setting
from fashion.training.recipe import AugmentationSettings, OptimizerSettings, TaskSettings

RATE, NARROW_RATE = 2e-3, 4e-3  # highest learning rate, and resnet10's
PUBLISHED_FROZEN = 2  # of an ImageNet network's stages: to a quarter of the resolution


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """The global batch of a training step, over all workers: P items with K views each."""

    items: int = setting(64, least=2, note="a negative is another item")
    """P, items a step."""
    views: int = setting(2, least=1)
    """K, pictures an item: half consumer and half shop photos where the item has both."""
    crop: Literal["whole", "box"] | None = None
    """Look at whole pictures, or at the annotated box of each; evaluation does the same. Default: box where most training
    pictures have one."""
    size: int | None = setting(None, least=8, unit="pixels")
    """Side of the training pictures. Published weights do best where the network looks at larger pictures than
    it was trained on, for a crop shows a garment larger than the whole picture does (Touvron et al. 2019); and a step is
    cheaper. Default: three quarters of network.size for such weights (where the backbone takes any size), four fifths
    for resnet10, else network.size."""
    labels: int = setting(64, least=1)
    """Pictures a step, over all workers, of the tables that are given for their labels alone (--labels)."""
    chunk: int = setting(0, least=0)
    """Pictures that a worker's network sees at a time. Fewer than its part of the batch means gradient caching: the
    same gradient in less memory, for a second forward pass. 0: all at once."""

    def __post_init__(self) -> None:
        check(self, "batch")


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """How an epoch is judged; the best epoch's network is kept."""

    metric: str = "recall@1"
    """recall@k, map or mrr on the validation split."""
    items: int = setting(2000, least=2)
    """Items of the validation split that are used, at most: the first ones, which are a fair sample."""
    every: int | None = setting(None, least=1)
    """Validate, and write a checkpoint, after each so many epochs (and after the last). Default: so that it comes at most
    50 times a run."""

    def __post_init__(self) -> None:
        if self.metric not in ("map", "mrr") and not (self.metric.startswith("recall@") and self.metric[7:].isdigit()):
            raise InputError(
                f"validation.metric: found {self.metric!r}, expected map, mrr or recall@k such as recall@1"
            )
        if self.metric == "recall@0":
            raise InputError("validation.metric: found recall@0, expected k of at least 1")
        check(self, "validation")

    @property
    def ks(self) -> tuple[int, ...]:
        """The k of the recall@k that are measured."""
        own = [int(self.metric.removeprefix("recall@"))] if self.metric.startswith("recall@") else []
        return tuple(sorted({1, 5, 10, 20, *own}))


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """How much work a fault may cost, beside the checkpoint that each validated epoch ends with. One is written twice as
    often, while training goes on. Nothing here changes the result."""

    minutes: float = setting(10.0, least=0)
    """Minutes of training that are lost at most; 0: no checkpoints by time."""
    steps: int = setting(0, least=0)
    """Steps that are lost at most, 2 or more; 0: no checkpoints by steps."""

    def __post_init__(self) -> None:
        check(self, "checkpoint")
        if self.steps == 1:
            raise InputError("checkpoint.steps: found 1, expected 0 (off) or at least 2")


@dataclass(frozen=True, kw_only=True)
class ResourceSettings:
    """Where the run takes place. Nothing here changes the plan of batches."""

    workers: int = setting(1, least=1)
    """Training workers; each has a part of every batch."""
    min_workers: int | None = None
    """Go on with as few workers as this while there is no room for all of them; needs batch.items to be a multiple of
    every number from here to `workers`. Default: wait for all."""
    gpu: bool | None = None
    """A GPU for each worker. Default: where the cluster has as many GPUs as workers."""
    worker_cpus: float = setting(1.0, above=0)
    """Logical CPUs of a worker."""
    threads: int | None = setting(None, least=1)
    """CPU threads of a worker's network. Default: a machine's cores over its workers."""
    feed_actors: int | None = setting(None, least=1)
    """Actors that read and decode, when the run begins. Default: what the cluster's CPUs leave beside the workers, at most 8
    a worker."""
    feed_least: int | None = setting(None, least=1)
    """Fewest that there may be, where the workers never wait for them. Default: 1; in a Ray of the job's own as many as it
    begins with, for nobody else would take what becomes free."""
    feed_most: int | None = setting(None, least=1)
    """Most that there may be, where the workers wait for them. Default: what the cluster's CPUs leave beside the workers, at
    most 8 a worker; in a Ray of the job's own as many as it begins with."""
    feed_cpus: float = setting(1.0, above=0)
    """Logical CPUs of such an actor; each decodes on one core."""
    feed_memory: int = setting(1024, least=1, unit="MiB")
    """Decoded batches that may wait in the object store."""
    feed_cache: int = setting(128, least=0, unit="MiB")
    """Decoded pictures that a feed actor keeps for the next epochs; 0: none. 128 MiB are 10,000 pictures at 64 pixels.
    With hard batches (mining.every), as much again of the table itself, in which neighbours lie far apart."""
    max_failures: int = setting(3, least=0)
    """Restarts from the newest checkpoint after a fault, before the run gives up."""

    def __post_init__(self) -> None:
        check(self, "resources")
        if self.min_workers is not None and not 1 <= self.min_workers <= self.workers:
            raise InputError(
                f"resources.min_workers: found {self.min_workers}, expected 1 to the {self.workers} of resources.workers"
            )
        given = {name: getattr(self, f"feed_{name}") for name in ("least", "actors", "most")}
        given = {f"resources.feed_{name}": count for name, count in given.items() if count is not None}
        for (fewer, few), (more, many) in pairwise(given.items()):
            if few > many:
                raise InputError(f"{fewer}: found {few}, expected at most the {many} of {more}")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """A training run."""

    epochs: int | None = setting(None, least=1)
    """Epochs; in each one every training item is seen once. Default: 12, and more where those are fewer than 160 steps;
    from random weights 30, and 1,000 steps."""
    seed: int = 0
    """Seed of the initial weights, the plan of batches, the views, the augmentation and the random mining."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """What the network computes in while it is trained and validated; embeddings, distances and losses are float32 in any
    case. auto: bf16 on GPUs that have it; on CPUs that have it, whichever the first steps of the run find quicker."""
    compile: bool = False
    """Compile the training step's network (torch.compile): slow to start, quicker afterwards; on CPUs it needs a C++
    compiler."""
    interpolate: bool = False
    """After the last epoch, also validate networks between the one that training started from and the tuned one
    (WiSE-FT, Wortsman et al. 2022), 0.5 to 0.9 of the way, and keep the best. Needs network.pretrained."""
    batch: BatchSettings = field(default_factory=BatchSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    mining: MiningSettings = field(default_factory=MiningSettings)
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    resources: ResourceSettings = field(default_factory=ResourceSettings)

    def __post_init__(self) -> None:
        check(self)
        if self.optimizer.learning_rate is None:
            rate = NARROW_RATE if self.network.name == RESNET10 else RATE
            object.__setattr__(self, "optimizer", replace(self.optimizer, learning_rate=rate))
        self.check_shares("items")
        if self.network.design == "plain":
            self._check_plain()
        if self.epochs is not None and self.optimizer.freeze_epochs > self.epochs:
            raise InputError(
                f"optimizer.freeze_epochs: found {self.optimizer.freeze_epochs}, expected at most the {self.epochs} "
                "epochs of the run (epochs)"
            )
        if self.network.pretrained is None:
            for name, value in {
                "optimizer.freeze_epochs": self.optimizer.freeze_epochs,
                "optimizer.freeze_stages": self.optimizer.freeze_stages,
                "optimizer.lora": self.optimizer.lora,
                "interpolate": self.interpolate,
            }.items():
                if value:
                    raise InputError(
                        f"{name}: found {value}, but the network starts from random weights; set network.pretrained, or "
                        "leave it out"
                    )

    @property
    def length(self) -> int:
        """Of the run, in epochs: `epochs`, which is decided where it was left open."""
        assert self.epochs is not None
        return self.epochs

    @property
    def learning_rate(self) -> float:
        """The highest: `optimizer.learning_rate`, which is decided where it was left open."""
        assert self.optimizer.learning_rate is not None
        return self.optimizer.learning_rate

    @property
    def frozen_stages(self) -> int:
        """First stages of the backbone that are never trained."""
        wanted = self.optimizer.freeze_stages
        return wanted if wanted is not None else PUBLISHED_FROZEN if self.network.published else 0

    def check_shares(self, name: str) -> None:
        """Raises InputError where setting `name` of the batch does not divide by every number of workers there may be."""
        r, value = self.resources, getattr(self.batch, name)
        each = math.lcm(*range(r.min_workers or r.workers, r.workers + 1))
        if value % each:
            near = max(1, round(value / each)) * each
            few = f"{r.min_workers} to " if r.min_workers else ""
            raise InputError(
                f"batch.{name}: found {value} for {few}{r.workers} workers (resources.workers), "
                f"expected a multiple of {'each' if few else 'that'}; {near} is one"
            )

    def _check_plain(self) -> None:
        usual = asdict(TaskSettings())
        for name, value in asdict(self.tasks).items():
            if value != usual[name]:
                raise InputError(
                    f"tasks.{name}: found {value}, but a plain network learns embeddings only; set network.design "
                    "fashionnet, or leave it out"
                )

    def identity(self) -> dict:
        """All that decides the result; a run is resumed only with the same. A plain network's run says nothing of tasks,
        as none did before there were any, and one of random batches nothing of mining."""
        settings = asdict(self) | {"network": self.network.identity()}
        del settings["resources"], settings["checkpoint"]
        if self.network.design == "plain":
            del settings["tasks"], settings["batch"]["labels"]
        if not self.mining.every:
            del settings["mining"]
        return settings
