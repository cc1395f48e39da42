"""Does the test set hold images, nearly the same images, or patients of the training set?"""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from helpers.data.splits import SPLIT_NAMES, Splits

# A strict bound: BreastMNIST's pairs above it are frames of one examination, some below it are too.
NEAR_CORRELATION = 0.98
_COARSE, _FINE = 8, 32  # pixels of the reduced images
_MOST = 100  # equal images of which all pairs are listed: of n there are n(n - 1)/2
_CHUNK = 2048  # rows of the correlation matrix at once; bounds the memory


@dataclass(frozen=True, eq=False)
class LeakageReport:
    """Pairs of images, and groups, that tie splits together.

    Args:
        n_images: split name -> number of images.
        exact: pairs of equal images, columns split_a, index_a, split_b, index_b, correlation
            (1.0) and same_label; a row a pair, within a split and across. Of more than 100 equal
            images only the pairs with the first of them in a split, so that rows stay few.
        near: pairs of nearly equal images that are not equal, columns as above, most alike first.
        groups: group -> the splits it lies in, if more than one; None if there are no groups.
        in_earlier_group: split name -> indices of its images whose group is in an earlier split.
        shared_groups: pair of splits -> number of groups that both hold (a split with itself: those
            of two images or more), in the order of `summary`; None if there are no groups.
        method: how near duplicates were found.
    """

    n_images: dict[str, int]
    exact: pd.DataFrame
    near: pd.DataFrame
    groups: dict[str, tuple[str, ...]] | None
    in_earlier_group: dict[str, np.ndarray]
    shared_groups: dict[tuple[str, str], int] | None
    method: str

    @property
    def exact_across(self) -> pd.DataFrame:
        """Pairs of equal images in two splits."""
        return self.exact[self.exact["split_a"] != self.exact["split_b"]]

    @property
    def near_across(self) -> pd.DataFrame:
        """Pairs of nearly equal images in two splits."""
        return self.near[self.near["split_a"] != self.near["split_b"]]

    def leaked(self, split: str) -> np.ndarray:
        """Return the indices of a split's images with an equal or near copy in an earlier split.

        Earlier means train for "val", and train or val for "test".
        """
        pairs = pd.concat([self.exact_across, self.near_across])
        return np.unique(pairs.loc[pairs["split_b"] == split, "index_b"].to_numpy(dtype=np.int64))

    def tied(self, split: str) -> np.ndarray:
        """Return the indices of a split's images that a copy or their group ties to earlier."""
        return np.union1d(self.leaked(split), self.in_earlier_group[split])

    def summary(self) -> pd.DataFrame:
        """Return the counts: one row for each pair of splits, and for each split with itself.

        "images" counts the images of the later split that are in such a pair, "labels differ" the
        pairs whose two labels disagree; with groups, "shared groups" those that both splits hold
        (within a split: of two images or more).
        """
        rows = {}
        for first, second in combinations_with_replacement(SPLIT_NAMES, 2):
            exact, near = (
                pairs[(pairs["split_a"] == first) & (pairs["split_b"] == second)]
                for pairs in (self.exact, self.near)
            )
            both = pd.concat([exact, near])
            images = set(both["index_b"]) | (set(both["index_a"]) if first == second else set())
            rows[f"within {first}" if first == second else f"{first} - {second}"] = {
                "exact pairs": len(exact),
                "near pairs": len(near),
                "images": len(images),
                "labels differ": int(len(both) - both["same_label"].sum()),
            }
        table = pd.DataFrame.from_dict(rows, orient="index")
        if self.shared_groups is not None:
            table["shared groups"] = list(self.shared_groups.values())
        return table


def leakage_report(splits: Splits) -> LeakageReport:
    """Find equal and nearly equal images and shared groups, across splits and within.

    Equal: the same bytes. Nearly equal: both images, grey and averaged over areas to at most
    32 x 32 pixels, have a Pearson correlation of at least `NEAR_CORRELATION` (so brightness and
    contrast do not matter; flips and shifts are not searched). Candidates come from the same
    measure at 8 x 8, in chunked matrix products: 10,000 images take a few seconds. An image of
    one grey has no correlation and can only have equal copies.

    Returns:
        The report; its pairs are ordered train, val, test.
    """
    images = np.concatenate([split.images for _, split in splits.items()])
    labels = np.concatenate([split.labels for _, split in splits.items()])
    lengths = [len(split) for _, split in splits.items()]
    place = np.repeat(np.arange(len(SPLIT_NAMES)), lengths)
    index = np.concatenate([np.arange(n) for n in lengths])

    def as_table(pairs: np.ndarray, correlation: np.ndarray) -> pd.DataFrame:
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -correlation))
        correlation, (a, b) = correlation[order], pairs[order].T
        names = np.array(SPLIT_NAMES)
        return pd.DataFrame(
            {
                "split_a": names[place[a]],
                "index_a": index[a],
                "split_b": names[place[b]],
                "index_b": index[b],
                "correlation": correlation,
                "same_label": labels[a] == labels[b],
            }
        )

    digests = [digest for _, split in splits.items() for digest in split.digests()]
    content = pd.factorize(np.array(digests))[0]
    first = _first_copies(content, place)
    kept, left = np.flatnonzero(first < 0), np.flatnonzero(first >= 0)
    exact, _ = _with_copies(_equal_pairs(kept, content), first)
    exact = np.concatenate([exact, np.stack([first[left], left], axis=1)])
    near, correlation = _near_pairs(images, kept)
    other = content[near[:, 0]] != content[near[:, 1]]
    near, source = _with_copies(near[other], first)
    stars = f"; more than {_MOST} equal images are each paired with the first of a split alone"
    return LeakageReport(
        n_images=dict(zip(SPLIT_NAMES, lengths, strict=True)),
        exact=as_table(exact, np.ones(len(exact))),
        near=as_table(near, correlation[other][source]),
        groups=None if splits.train.groups is None else splits.crossing_groups(),
        in_earlier_group={name: splits.in_earlier_group(name) for name in SPLIT_NAMES},
        shared_groups=_count_shared(splits),
        method=(
            f"Pearson correlation of at least {NEAR_CORRELATION:g} between grey images averaged to "
            f"at most {_FINE} x {_FINE} pixels" + (stars if len(left) else "")
        ),
    )


def _count_shared(splits: Splits) -> dict[tuple[str, str], int] | None:
    if splits.train.groups is None:
        return None
    counts = {name: Counter(split.groups.tolist()) for name, split in splits.items()}
    return {
        (first, second): sum(n > 1 for n in counts[first].values())
        if first == second
        else len(counts[first].keys() & counts[second].keys())
        for first, second in combinations_with_replacement(SPLIT_NAMES, 2)
    }


def _first_copies(content: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return int64 (N,): which image stands for this one, -1 if it stands for itself.

    Of more than `_MOST` equal images the first in each split stands for the others there.
    """
    number = np.arange(len(content))
    first = pd.Series(number).groupby([content, place]).transform("min").to_numpy()
    many = np.bincount(content)[content] > _MOST
    return np.where(many & (first < number), first, -1)


def _with_copies(pairs: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add to the pairs of images that stand for others the same pairs of those others.

    Returns:
        int64 (M, 2), i < j, and int64 (M,), the pair that each comes from.
    """
    copies = pd.DataFrame({"copy": np.flatnonzero(first >= 0), "first": first[first >= 0]})
    table = pd.DataFrame(pairs, columns=["a", "b"]).assign(source=np.arange(len(pairs)))
    added = [
        table.merge(copies, left_on=side, right_on="first").assign(**{side: lambda t: t["copy"]})
        for side in table.columns[:2]
    ]
    table = pd.concat([table, *added])
    return np.sort(table[["a", "b"]].to_numpy(), axis=1), table["source"].to_numpy()


def _equal_pairs(rows: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return int64 (M, 2), i < j, of some images: all pairs with one content number."""
    table = pd.DataFrame({"row": rows, "content": content[rows]})
    copies = table[table["content"].duplicated(keep=False)]
    pairs = [pair for _, same in copies.groupby("content")["row"] for pair in combinations(same, 2)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _near_pairs(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (M, 2), i < j, of some images, and their correlations, float64 (M,)."""
    coarse = _standardised(images, rows, _COARSE)
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(coarse), _CHUNK):
        # Columns from `start` on: the lower half of the matrix repeats the upper one.
        product = coarse[start : start + _CHUNK] @ coarse[start:].T
        row, column = np.nonzero(product >= NEAR_CORRELATION)
        upper = column > row
        found.append(np.stack([row[upper], column[upper]], axis=1) + start)
    pairs = np.concatenate(found)
    fine = _standardised(images, rows, _FINE)
    chunks = np.split(pairs, range(_CHUNK, len(pairs), _CHUNK))
    products = [np.einsum("nd,nd->n", *fine[chunk.T]) for chunk in chunks]
    correlation = np.concatenate(products, dtype=np.float64)
    kept = correlation >= NEAR_CORRELATION
    return rows[pairs[kept]], np.minimum(correlation[kept], 1.0)


def _standardised(images: np.ndarray, rows: np.ndarray, size: int) -> np.ndarray:
    """Return float32 (N, size^2) of zero mean and unit length; zeros for an image of one grey."""
    parts = []
    for chunk in np.split(rows, range(_CHUNK, len(rows), _CHUNK)):
        part = torch.from_numpy(images[chunk]).float().mean(3)
        if part.shape[1] > size:
            part = functional.adaptive_avg_pool2d(part[:, None], size)
        parts.append(part.flatten(1))
    values = torch.cat(parts)
    values = values - values.mean(1, keepdim=True)
    length = values.norm(dim=1, keepdim=True)
    return torch.where(length > 1e-3, values / length.clamp_min(1e-3), 0.0).numpy()
