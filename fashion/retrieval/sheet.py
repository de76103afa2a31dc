"""A picture sheet: each query on the left, what was found for it on the right, best first."""

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

PICTURE = 150  # pixels, the longest side of a picture
GAP = 12
LINE = 15
INK, FAINT, PAPER, EMPTY = (32, 33, 36), (95, 99, 104), (255, 255, 255), (238, 239, 241)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A picture (None where there is none to show) over two lines of text."""

    picture: Image.Image | None
    title: str
    note: str


def draw_sheet(rows: list[tuple[Cell, list[Cell]]]) -> Image.Image:
    """One row a query; text that is wider than a picture is shortened."""
    columns = 1 + max(len(hits) for _, hits in rows)
    across, down = PICTURE + GAP, PICTURE + 2 * LINE + 2 * GAP
    sheet = Image.new("RGB", (columns * across + 3 * GAP, len(rows) * down + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    fonts = ImageFont.load_default(12), ImageFont.load_default(11)
    for number, (query, hits) in enumerate(rows):
        top = GAP + number * down
        _cell(sheet, draw, fonts, query, GAP, top)
        rule = GAP + across
        draw.line((rule, top, rule, top + PICTURE + 2 * LINE), fill=EMPTY, width=2)
        for place, hit in enumerate(hits):
            _cell(sheet, draw, fonts, hit, 2 * GAP + (place + 1) * across, top)
    return sheet


def _cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, fonts: tuple[Font, Font], cell: Cell, left: int, top: int
) -> None:
    if cell.picture is None:
        draw.rectangle((left, top, left + PICTURE, top + PICTURE), fill=EMPTY)
    else:
        height = cell.picture.height
        sheet.paste(cell.picture, (left, top + PICTURE - height))
    for line, (text, font, ink) in enumerate(zip((cell.title, cell.note), fonts, (INK, FAINT), strict=True)):
        draw.text((left, top + PICTURE + 4 + line * LINE), shorten(text, font, PICTURE), fill=ink, font=font)


def shorten(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """The text, its middle replaced by dots where it is wider than `width` pixels: names differ at their ends."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep and font.getlength(short := f"{text[: keep // 2]}...{text[len(text) - (keep - keep // 2) :]}") > width:
        keep -= 1
    return short
