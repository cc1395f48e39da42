"""One entry to all data: `load_dataset`."""

from helpers.data import medmnist_npz
from helpers.data.splits import DataError, Splits


def load_dataset(name: str, *, image_size: int | None = None) -> Splits:
    """Load a data set by name."""
    medmnist_set = medmnist_npz.parse_name(name, image_size=image_size)
    if medmnist_set:
        return medmnist_npz.load_medmnist(*medmnist_set)
    raise DataError(f"unknown data set {name!r}; known: {', '.join(list_datasets())}.")


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows."""
    return medmnist_npz.list_flags()
