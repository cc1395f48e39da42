"""Image operators on a batch, with one parameter per sample.

Each function equals torchvision's operator of the same name applied to one image at a time with
that sample's parameters (`tests/helpers/data/test_transforms.py` compares them). Images are float32
`(B, C, H, W)`, C 1 or 3, in [0, 1] unless said otherwise; parameters are tensors of B rows on the
same device. Only what ends in an underscore changes its input; nothing is random here.

Geometry is written as homographies `(B, 3, 3)` that map an output point to the input point it is
read from, in pixels from the top left edge: the centre of pixel (row i, column j) is the point
(j + 0.5, i + 0.5). Homographies multiply, so that flip, affine and perspective need one `warp`.
They are float64: that costs nothing at nine numbers a sample, and neither autocast nor TF32 touches
the product of float64 matrices, where fewer digits would move pixels.

Where one of two images is chosen, `torch.lerp` does it: a weight of exactly 0 or 1 gives one of
them to the last bit, on a CPU in a half to a tenth of the time of `torch.where`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue


def flip_homography(mask: Tensor, *, width: int) -> Tensor:
    """Return the homographies that mirror left and right where `mask` (B,) is true."""
    matrix = torch.eye(3, dtype=torch.float64, device=mask.device).repeat(len(mask), 1, 1)
    matrix[:, 0, 0] -= 2 * mask
    matrix[:, 0, 2] += width * mask
    return matrix


def affine_homography(
    angle: Tensor, translate: Tensor, scale: Tensor, shear: Tensor, *, height: int, width: int
) -> Tensor:
    """Return the homographies of rotation, shear and scale about the centre, then translation.

    Args:
        angle: float32 (B,), degrees, clockwise.
        translate: float32 (B, 2), pixels to the right and down.
        scale: float32 (B,), above 1 enlarges.
        shear: float32 (B, 2), degrees along x and y.
        height: rows of the image.
        width: columns of the image.

    Returns:
        float64 (B, 3, 3), output point to input point.
    """
    rotation, (shear_x, shear_y) = angle.double().deg2rad(), shear.double().deg2rad().unbind(1)
    # The forward map [[a, b], [c, d]] has determinant 1, so its inverse is [[d, -b], [-c, a]].
    a = torch.cos(rotation - shear_y) / torch.cos(shear_y)
    b = -a * torch.tan(shear_x) - torch.sin(rotation)
    c = torch.sin(rotation - shear_y) / torch.cos(shear_y)
    d = -c * torch.tan(shear_x) + torch.cos(rotation)
    centre = rotation.new_tensor([width / 2, height / 2])
    linear = torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / scale.view(-1, 1, 1)
    offset = centre - (linear @ (centre + translate).unsqueeze(2)).squeeze(2)
    bottom_row = rotation.new_tensor([0, 0, 1]).expand(len(angle), 1, 3)
    return torch.cat([torch.cat([linear, offset.unsqueeze(2)], dim=2), bottom_row], dim=1)


def perspective_homography(startpoints: Tensor, endpoints: Tensor) -> Tensor:
    """Return the homographies that move four points of the input to four of the output.

    Args:
        startpoints: float32 (B, 4, 2), x and y in the input, no three on a line.
        endpoints: float32 (B, 4, 2), where they lie in the output, no three on a line.

    Returns:
        float64 (B, 3, 3), output point to input point, last element 1.
    """
    matrix = _frame(startpoints.double()) @ _adjugate(_frame(endpoints.double()))
    return matrix / matrix[:, 2:, 2:]


def warp(images: Tensor, homographies: Tensor) -> Tensor:
    """Read each output pixel from the input point its homography gives (bilinear, zero outside).

    Args:
        images: float32 (B, C, H, W).
        homographies: float64 (B, 3, 3), output point to input point.

    Returns:
        float32 (B, C, H, W).
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device) + 0.5
    # Pixels to grid_sample's range, -1 at one edge and 1 at the other, folded into the matrix.
    to_grid = homographies.new_tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    across, down, offset = (to_grid @ homographies).to(images).unsqueeze(3).unbind(2)
    # Each of the three is (B, 3, 1); their sum over the image is (B, 3, H, W).
    points = (across * x + offset).unsqueeze(2) + (down * y).unsqueeze(3)
    grid = (points[:, :2] / points[:, 2:]).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def horizontal_flip(images: Tensor, mask: Tensor) -> Tensor:
    """Mirror left and right the images (B, C, H, W) where `mask`, bool (B,), is true."""
    return torch.lerp(images, images.flip(-1), _per_sample(mask.to(images)))


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Turn each square image (B, C, S, S) by its number of quarter turns, int64 (B,), in 0 .. 3."""
    turns = _per_sample(turns)
    once = torch.lerp(images, images.rot90(1, (2, 3)), (turns % 2).to(images))
    return torch.lerp(once, once.rot90(2, (2, 3)), (turns // 2).to(images))


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image by its factor (B,), >= 0, and clamp to [0, 1]."""
    return (images * _per_sample(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Stretch each image about its mean luminance by its factor (B,), >= 0, and clamp to [0, 1]."""
    mean = _luminance(images.mean(dim=(2, 3), keepdim=True))
    return torch.lerp(mean, images, _per_sample(factor)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Stretch each colour about its luminance by the image's factor (B,), >= 0, clamp to [0, 1].

    Grey images (one channel) have no saturation and come back as they are.
    """
    if images.shape[1] == 1:
        return images
    return torch.lerp(_luminance(images), images, _per_sample(factor)).clamp_(0, 1)


def adjust_hue(images: Tensor, factor: Tensor) -> Tensor:
    """Turn the hue of each image by its factor (B,), in [-0.5, 0.5] of the colour circle.

    Grey images (one channel) have no hue and come back as they are.
    """
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    # Hue in sixths of the circle from the largest channel; a grey pixel has chroma 0 and any hue.
    divisor = chroma.clamp(min=torch.finfo(chroma.dtype).tiny)
    hue = torch.lerp(
        (green - blue) / divisor,
        torch.lerp(
            2 + (blue - red) / divisor, 4 + (red - green) / divisor, torch.sign(value - green)
        ),
        torch.sign(value - red),
    )
    hue = hue + 6 * factor.view(-1, 1, 1)
    # HSV to RGB without its six cases: a channel is the value less the chroma times a trapezium.
    corner = images.new_tensor([5, 3, 1]).view(1, 3, 1, 1)
    position = hue.unsqueeze(1) + corner
    position = position - 6 * torch.floor(position / 6)  # torch.remainder, at half its time
    fraction = (2 - (position - 2).abs_()).clamp_(0, 1)
    return (value.unsqueeze(1) - chroma.unsqueeze(1) * fraction).clamp_(0, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, *, kernel_size: int) -> Tensor:
    """Blur each image with its own Gaussian; the border is mirrored.

    Args:
        images: float32 (B, C, H, W), both sides longer than half the kernel.
        sigma: float32 (B,), pixels, >= 0; 0 leaves the image as it is.
        kernel_size: odd number of taps.
    """
    half = kernel_size // 2
    taps = torch.arange(-half, half + 1, device=images.device)
    # A sigma near zero stands for zero: its outer taps underflow to exactly 0.
    kernel = torch.exp(-0.5 * (taps / sigma.clamp(min=1e-3).view(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).unbind(1)
    height, width = images.shape[-2:]
    padded = F.pad(images, [half] * 4, mode="reflect")
    rows = _weighted_sum(kernel, [padded[..., k : k + width] for k in range(kernel_size)])
    return _weighted_sum(kernel, [rows[..., k : k + height, :] for k in range(kernel_size)])


def erase_(images: Tensor, boxes: Tensor) -> Tensor:
    """Set one box of each image to zero, in place.

    Args:
        images: float32 (B, C, H, W), any range; changed.
        boxes: int64 (B, 4): top, left, height, width; cut at the border, height 0 erases nothing.
    """
    return images.lerp_(images.new_zeros(()), _mask(boxes, images))


def cutmix(
    images: Tensor, targets: Tensor, boxes: Tensor, permutation: Tensor
) -> tuple[Tensor, Tensor]:
    """Paste a box of a partner image into each image and mix the targets by the pasted area.

    Yun et al., "CutMix", ICCV 2019 (reference 39 of paper B): target = (1 - a) * own + a * partner,
    where a is the share of pixels truly pasted, after the box is cut at the border.

    Args:
        images: float32 (B, C, H, W), any range.
        targets: float32 (B, K), each row sums to 1.
        boxes: int64 (B, 4): top, left, height, width; height 0 pastes nothing.
        permutation: int64 (B,), the partner of each sample.

    Returns:
        Mixed images (B, C, H, W) and targets (B, K).
    """
    mask = _mask(boxes, images)
    area = mask.sum(dim=(1, 2, 3)) / mask[0].numel()
    partners = images.index_select(0, permutation)
    mixed = torch.lerp(images, partners, mask, out=partners)
    return mixed, torch.lerp(targets, targets[permutation], area.unsqueeze(1))


def _frame(points: Tensor) -> Tensor:
    """Return the homographies (B, 3, 3) that move the unit vectors and (1, 1, 1) to `points`."""
    points = F.pad(points, (0, 1), value=1.0).transpose(1, 2)  # homogeneous, (B, 3, 4)
    three, fourth = points[:, :, :3], points[:, :, 3:]
    return three * (_adjugate(three) @ fourth).transpose(1, 2)


def _adjugate(matrix: Tensor) -> Tensor:
    """Return the inverses of (B, 3, 3) up to a factor, which a homography ignores.

    Plain arithmetic: a solver would make a GPU wait to hear whether it succeeded.
    """
    p, q, r = matrix.unbind(2)
    cross = torch.linalg.cross
    return torch.stack([cross(q, r), cross(r, p), cross(p, q)], dim=1)


def _per_sample(values: Tensor) -> Tensor:
    """Shape (B,) as (B, 1, 1, 1), to multiply images."""
    return values.view(-1, 1, 1, 1)


def _luminance(images: Tensor) -> Tensor:
    """Return the luminance (B, 1, H, W); a grey image is its own."""
    if images.shape[1] == 1:
        return images
    return sum(weight * images[:, k : k + 1] for k, weight in enumerate(LUMA))


def _weighted_sum(weights: Sequence[Tensor], images: Sequence[Tensor]) -> Tensor:
    """Add up images (B, C, H, W) with one weight (B,) a sample each, in a third of `sum`'s time."""
    total = _per_sample(weights[0]) * images[0]
    for weight, image in zip(weights[1:], images[1:], strict=True):
        total += _per_sample(weight) * image
    return total


def _mask(boxes: Tensor, images: Tensor) -> Tensor:
    """Return float32 (B, 1, H, W), 1 inside each box and 0 outside: a weight for torch.lerp.

    On a CPU the product is several times faster than a logical mask.
    """
    top, left, height, width = boxes[:, :, None, None, None].unbind(1)
    row = torch.arange(images.shape[2], device=images.device).view(-1, 1)
    column = torch.arange(images.shape[3], device=images.device)
    rows, columns = (row >= top) & (row < top + height), (column >= left) & (column < left + width)
    return rows.float() * columns.float()
