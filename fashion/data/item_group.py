"""Items of a row group as training reads them: columns of their images, and pixels of those that are chosen."""

import numpy as np
import pyarrow as pa


class ItemGroup:
    """Columns of the images of some items, item by item: pictures that nobody chooses stay undisturbed in Arrow's
    memory."""

    def __init__(self, rows: pa.Table):
        images = rows["images"].combine_chunks()
        self.items = rows["item"].to_pylist()
        self.start = (images.offsets.to_numpy() - images.offsets[0].as_py()).tolist()
        flat = images.flatten()
        columns = dict(zip((field.name for field in flat.type), flat.flatten(), strict=True))
        jpegs = columns.pop("jpeg")
        _, ends, data = jpegs.buffers()  # an Arrow scalar for each picture would cost more than copying it
        self.ends = np.frombuffer(ends, np.int64)[jpegs.offset :].tolist()
        self.bytes = memoryview(data).cast("B")  # Arrow says signed bytes, which no header is read from
        self.columns = {name: column.to_pylist() for name, column in columns.items()}

    def of(self, name: str, row: int) -> list:
        """The column's values of one item's images."""
        return self.columns[name][self.start[row] : self.start[row + 1]]

    def pixels(
        self, picture: int, size: int, crop: str, *, fit: str = "stretch", interpolation: str = "bilinear"
    ) -> np.ndarray:
        """A picture, or its box, as uint8 (3, size, size)."""
        from fashion.data.decode import decode  # here: the processes that only plan a feed need not load what decodes

        box = self.columns["box"][picture] if crop == "box" else None
        data = self.bytes[self.ends[picture] : self.ends[picture + 1]]
        return decode(data, size=(size, size), box=box, fit=fit, interpolation=interpolation)


def read_columns(names: list[str]) -> list[str]:
    """Columns of the item table's file that give an ItemGroup with these columns of images."""
    return ["item", *(f"images.list.element.{name}" for name in dict.fromkeys([*names, "jpeg"]))]
