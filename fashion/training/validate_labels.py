"""Validation of what a network predicts beside embeddings: category top-1 and the landmarks' error."""

import numpy as np
import torch

from fashion.data.boxes import shown_part
from fashion.networks.outputs import Outputs
from fashion.retrieval.labels.landmarks import as_fractions, errors
from fashion.training.distributed import gather
from fashion.vocabulary import Vocabulary


class LabelTally:
    """Sums over pictures, of this worker and then of all."""

    def __init__(self, vocabulary: Vocabulary, crop: str):
        self.category = {name: c for c, name in enumerate(vocabulary.categories)}
        self.crop = crop
        self.sums = dict.fromkeys(("category_right", "categories", "landmark_error", "landmarks"), 0.0)

    def add(self, outputs: Outputs, rows: list[dict]) -> None:
        """Outputs of N pictures and their N rows of the item table."""
        known = [n for n, row in enumerate(rows) if row["category"] is not None]
        if known and self.category:
            best = outputs.category_NC.argmax(1).tolist()
            self.sums["category_right"] += sum(best[n] == self.category.get(rows[n]["category"]) for n in known)
            self.sums["categories"] += len(known)
        marked = [n for n, row in enumerate(rows) if row["landmarks"] is not None]
        if marked:
            parts = np.array([_part(rows[n], self.crop) for n in marked])
            true_N83 = as_fractions(np.array([rows[n]["landmarks"] for n in marked]).reshape(-1, 8, 3), parts)
            estimate_N82 = outputs.landmarks_N82.float().cpu().numpy()[marked]
            error_N8 = errors(np.concatenate([true_N83[..., :1], estimate_N82], 2), true_N83)
            self.sums["landmark_error"] += float(np.nansum(error_N8))
            self.sums["landmarks"] += int(np.isfinite(error_N8).sum())

    def means(self, device: torch.device) -> dict[str, float]:
        """`category_top1` (share of pictures) and `landmark_error` (mean distance of visible landmarks, as a fraction of
        width and height); without what nothing is annotated of. The same on every worker."""
        own = torch.tensor(list(self.sums.values()), dtype=torch.float32, device=device)
        right, categories, error, landmarks = gather(own).double().sum(0).tolist()
        means = {"category_top1": right / categories} if categories else {}
        return means | ({"landmark_error": error / landmarks} if landmarks else {})


def _part(row: dict, crop: str) -> tuple[int, int, int, int]:
    return shown_part(row["box"] if crop == "box" else None, row["width"], row["height"])
