"""Winners side by side: every image whole and over its caption."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from scaling.output.samples import COLUMNS, LINE, caption, sheet
from scaling.protocols import Condition


@pytest.mark.parametrize(("count", "side", "scale"), [(1, 28, 2), (12, 28, 2), (14, 64, 1)])
def test_every_image_is_there_whole_with_room_for_its_caption(count: int, side: int, scale: int) -> None:
    images = [np.full((3, side, side), (place + 1) / 32, np.float32) for place in range(count)]
    conditions = [Condition(class_label=place) for place in range(count)]
    with Image.open(BytesIO(sheet(images, conditions, scale))) as opened:
        page = np.asarray(opened)
    rows, columns = -(-count // COLUMNS), min(count, COLUMNS)
    height, width = page.shape[0] // rows, page.shape[1] // columns
    assert height >= side * scale + LINE
    for place, image in enumerate(images):
        y, x = divmod(place, COLUMNS)
        cell = page[y * height : (y + 1) * height, x * width : (x + 1) * width]
        color = round(float(image[0, 0, 0]) * 255)
        assert (cell == color).all(axis=2).sum() >= (side * scale) ** 2
        below = cell[2 + side * scale :]
        assert (below.min(axis=2) < 128).any(), "a caption's letters"


def test_a_caption_is_the_class_or_the_prompt_cut_where_it_is_long() -> None:
    assert caption(Condition(class_label=7), 10) == ["class 7"]
    assert caption(Condition(prompt="a fox for $5"), 20) == ["a fox for $5"]
    lines = caption(Condition(prompt="word " * 50), 12)
    assert len(lines) == 3
    assert all(len(line) <= 12 for line in lines)
    assert lines[-1].endswith("…")
