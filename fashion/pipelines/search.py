"""Customers' photos -> an embedded catalogue's most similar images, at once: no Ray is started."""

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fashion.data.boxes import Box
from fashion.data.table import ItemTable
from fashion.errors import InputError
from fashion.pipelines.networks import embedder_of, network_with
from fashion.retrieval.embeddings import EMBEDDING, Catalogue, open_catalogue
from fashion.retrieval.settings import EmbedSettings
from fashion.setting_ranges import check, setting
from fashion.setting_types import require_folders
from fashion.storage import Store
from fashion.text_table import aligned

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from fashion.retrieval.embedder import Embedder
    from fashion.retrieval.lookup import Hit

SHEET_ENDINGS = (".jpg", ".jpeg", ".png")
SHEET_ROWS = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PhotoSearchSettings:
    """Print the catalogue's most similar images for each photo, best first."""

    catalogue: str
    """Folder of the embeddings (jobs/embed.py --out): local or s3://."""
    run: str
    """Folder of the training run that the catalogue was embedded with: local or s3://."""
    image: list[str] = field(default_factory=list)
    """Photos, or folders of photos, on this machine: --image a.jpg b.jpg."""
    box: str | None = None
    """The part of the photo to look at, x1,y1,x2,y2 in pixels of the upright photo; for a single photo."""
    k: int = setting(10, least=1)
    """Images to find for each photo."""
    domain: Literal["shop", "consumer", "any"] = "shop"
    """Whose images of the catalogue are searched."""
    query_domain: Literal["consumer", "shop"] = "consumer"
    """Whose photos these are; it matters where the network has a branch for each."""
    sheet: str | None = None
    """Picture to write: photos on the left, what was found on the right. A .jpg or .png file."""
    data: str | None = None
    """Item table with the sheet's pictures. Default: where it was when the catalogue was embedded."""

    def __post_init__(self) -> None:
        check(self)
        require_folders(self, "catalogue", "run")
        if not self.image:
            raise InputError("image: missing; expected photos or folders of photos (--image)")
        if self.sheet and Path(self.sheet).suffix.lower() not in SHEET_ENDINGS:
            raise InputError(f"sheet: found {self.sheet}, expected a file ending in {', '.join(SHEET_ENDINGS)}")
        self.corners  # noqa: B018  checked where it is given

    @property
    def corners(self) -> Box | None:
        """The box as numbers. Raises InputError."""
        if self.box is None:
            return None
        try:
            x1, y1, x2, y2 = (int(number) for number in self.box.split(","))
        except ValueError:
            raise InputError(f"box: found {self.box!r}, expected four whole numbers x1,y1,x2,y2") from None
        return x1, y1, x2, y2


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photo as the network sees it, and a small picture of it for the sheet."""

    name: str
    pixels_3SS: "np.ndarray"
    picture: "Image.Image"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Each photo's most similar images of the catalogue, best first, and a line for each photo that cannot be used."""

    hits: list[tuple[Photo, list["Hit"]]]
    unusable: list[str]


def search(settings: PhotoSearchSettings) -> Answers:
    """Find the photos' most similar images, say them, and draw the sheet where one is asked for. Raises InputError."""
    for name in ("catalogue", "run", "data"):
        if "://" in (getattr(settings, name) or ""):
            from cluster.storage import check_storage  # here, for boto3 is slow to import and local folders need none

            check_storage(name, getattr(settings, name))
    catalogue = open_catalogue(settings.catalogue)
    if sys.stderr.isatty():  # a word for those who wait
        print(f"search {catalogue.manifest.images:,} images of {catalogue.store.uri}", file=sys.stderr)
    from fashion.retrieval.lookup import nearest
    from fashion.retrieval.photos import photo_files

    files, skipped = photo_files(settings.image)
    if skipped:
        print(skipped_line(skipped), file=sys.stderr)
    if settings.box and len(files) > 1:
        raise InputError(f"box: found with {len(files)} photos, expected a single one")
    table = _pictures_of(catalogue, settings.data) if settings.sheet else None
    embedder = embedder_of(network_with(Store(settings.run), catalogue.manifest.network), EmbedSettings())
    photos, unusable = _read(files, settings.corners, embedder)
    answers = []
    if photos:
        hits_of = nearest(
            catalogue, _embed(embedder, photos, settings.query_domain), settings.k, domain=settings.domain
        )
        if not any(hits_of):
            raise InputError(f"domain: found {settings.domain!r}, but the catalogue has no such images; set any")
        answers = list(zip(photos, hits_of, strict=True))
        for photo, hits in answers:
            log.info(f"{photo.name}\n{hit_table(hits)}\n")
        if settings.sheet and table:
            _write_sheet(Path(settings.sheet), table, answers)
    return Answers(hits=answers, unusable=unusable)


def hit_table(hits: list["Hit"]) -> str:
    """Aligned text, a row an image, best first."""
    rows = [("", "image", "item", "score")]
    rows += [(str(rank), hit.image, hit.item, f"{hit.score:.4f}") for rank, hit in enumerate(hits, 1)]
    return aligned(rows, "><<>", indent="  ")


def skipped_line(skipped: list[Path]) -> str:
    """What a folder holds beside photos, in one line."""
    shown = ", ".join(file.name for file in skipped[:5]) + (", ..." if len(skipped) > 5 else "")
    return f"skipped {len(skipped)} that {'is no photo' if len(skipped) == 1 else 'are no photos'}: {shown}"


def _read(files: list[Path], box: "Box | None", embedder: "Embedder") -> "tuple[list[Photo], list[str]]":
    """The photos that can be used, and a line for each of the others."""
    from fashion.data.decode import BadPicture
    from fashion.retrieval.photos import read_photo
    from fashion.retrieval.sheet import PICTURE

    photos, bad, shown = [], [], embedder.transform
    for file in files:
        try:
            pixels, picture = read_photo(
                file, box, embedder.size, PICTURE, fit=shown.fit, interpolation=shown.interpolation
            )
        except BadPicture as fault:
            bad.append(f"{file}: {fault}; give another photo")
            continue
        photos.append(Photo(name=str(file), pixels_3SS=pixels, picture=picture))
    return photos, bad


def _embed(embedder: "Embedder", photos: list[Photo], domain: str) -> "np.ndarray":
    """(Q, D)"""
    import numpy as np
    import torch

    networks = embedder.load(torch.device("cpu"))
    parts = [photos[start : start + embedder.batch] for start in range(0, len(photos), embedder.batch)]
    shown = [torch.from_numpy(np.stack([photo.pixels_3SS for photo in part])) for part in parts]
    return np.concatenate([networks(images, [domain] * len(images))[0][EMBEDDING] for images in shown])


def _pictures_of(catalogue: Catalogue, data: str | None) -> ItemTable:
    """The item table that the catalogue was embedded from. Raises InputError where it is another one."""
    manifest = catalogue.manifest
    table = ItemTable(Store(data or manifest.data_uri))
    if table.fingerprint != manifest.data:
        raise InputError(
            f"data: {table.store.uri} has fingerprint {table.fingerprint}, the catalogue was embedded from "
            f"{manifest.data}; give the item table that it was embedded from, or leave out --sheet"
        )
    return table


def _write_sheet(file: Path, table: ItemTable, answers: list[tuple[Photo, list["Hit"]]]) -> None:
    from fashion.retrieval.photos import hit_pictures
    from fashion.retrieval.sheet import PICTURE, Cell, draw_sheet

    shown = answers[:SHEET_ROWS]
    pictures = hit_pictures(table, [hit for _, hits in shown for hit in hits], PICTURE)
    rows = []
    for photo, hits in shown:
        query = Cell(picture=photo.picture, title=Path(photo.name).name, note="photo")
        cells = [
            Cell(picture=pictures.get((hit.image, hit.item)), title=hit.item, note=f"{rank}.  score {hit.score:.3f}")
            for rank, hit in enumerate(hits, 1)
        ]
        rows.append((query, cells))
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(rows).save(file, quality=90)
    left_out = f" (the first {SHEET_ROWS} of {len(answers)} photos)" if len(answers) > SHEET_ROWS else ""
    log.info(f"sheet {file}{left_out}")
