"""Local features: what a feature map shows round each landmark."""

import torch


def pool_round(map_NCHW: torch.Tensor, points_NL2: torch.Tensor, window: int) -> torch.Tensor:
    """(N, L, C): the maximum of each channel in a window of `window` x `window` cells (odd) round each point.

    `points_NL2`: x and y as fractions of the picture's width and height; a point outside belongs to the nearest cell of
    the border. At the border the window is cut off. The gradient of a maximum goes to the one cell it was found in, and
    to no position: which cell a point lies in is rounded (FashionNet, Liu et al. 2016, max-pools likewise).
    """
    N, C, H, W = map_NCHW.shape
    column_NL, row_NL = ((points_NL2.detach() * points_NL2.new_tensor([W, H])).floor().long()).unbind(-1)
    reach = torch.arange(window, device=map_NCHW.device) - window // 2
    # A cell beyond the border is replaced by the nearest one inside, which the window holds already.
    columns_NLw = (column_NL.clamp(0, W - 1)[..., None] + reach).clamp(0, W - 1)
    rows_NLw = (row_NL.clamp(0, H - 1)[..., None] + reach).clamp(0, H - 1)
    cells_NLK = (rows_NLw[..., :, None] * W + columns_NLw[..., None, :]).flatten(2)
    # A view, without a copy, where the map is channels_last.
    flat_NPC = map_NCHW.permute(0, 2, 3, 1).reshape(N, H * W, C)
    picture_N11 = torch.arange(N, device=map_NCHW.device)[:, None, None]
    return flat_NPC[picture_N11, cells_NLK].max(2).values
