"""``eegnet``: temporal filters, spatial filters for each of them, and a separable convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import scipy.fft
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from eavctl import ranks
from eavctl.encoders.eeg_rows import EegRows
from eavctl.registry import register
from eavctl.settings import Share, Within

POOLS = (4, 8)
SEPARABLE_KERNEL = 16
MAX_NORM = 1.0


@register(
    "encoders",
    "eegnet",
    modality="eeg",
    features=("eeg-epochs",),
    sizes={"base": {"kernel": 300}, "tiny": {"d": 2, "f2": 16}},
    example_shape=(6, 96),
    example_settings={"f1": 4, "d": 2, "f2": 8, "kernel": 32},
)
class EegNet(EegRows):
    """EEGNet [1]_: the published network, computed in another order.

    Temporal and spatial filters are linear and commute. Here the channels are mixed first, so the long
    temporal kernel runs over ``f1 * d`` mixtures instead of ``f1 * n_chans`` channels, and by Fourier
    transform. The batch normalisation between the two needs the mean and variance of the temporal filters'
    outputs over channels and time, which follow exactly from the lag covariance of the input, see
    `lag_moments`.

    The widths are those published for EAV [2]_, and so are the kernels of 3 s of the size ``base``, which
    overfit rows of a few seconds. The size ``tiny`` is EEGNet-8,2.

    Parameters
    ----------
    shape : (n_chans, n_times) of one row, in microvolt; at least 32 samples.
    f1 : number of temporal filters.
    d : number of spatial filters per temporal filter.
    f2 : number of filters of the separable convolution.
    kernel : length of the temporal filters in samples; half a second, the default at 100 Hz, resolves 2 Hz
        [1]_.
    dropout : dropout rate after each pooling.

    References
    ----------
    .. [1] Lawhern et al.: EEGNet: a compact convolutional neural network for EEG-based brain-computer
       interfaces, J. Neural Eng. 15, 2018.
    .. [2] Lee et al.: EAV: EEG-audio-video dataset for emotion recognition in conversational contexts,
       Scientific Data 11, 2024.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        f1: Annotated[int, Within(1, 512)] = 8,
        d: Annotated[int, Within(1, 256)] = 8,
        f2: Annotated[int, Within(1, 4096)] = 64,
        kernel: Annotated[int, Within(1, 2000)] = 50,
        dropout: Share = 0.5,
    ) -> None:
        first, second = POOLS
        super().__init__(shape, "eegnet", first * second)
        self.temporal = nn.Parameter(nn.init.xavier_uniform_(torch.empty(f1, kernel)))
        self.temporal_norm = MomentNorm(f1)
        self.spatial = nn.Parameter(nn.init.xavier_uniform_(torch.empty(f1 * d, self.n_chans)))
        self.spatial_norm = nn.BatchNorm1d(f1 * d)
        self.pooling = nn.Sequential(nn.ELU(inplace=True), MeanPool(first), nn.Dropout(dropout))
        self.separable = nn.Sequential(
            nn.ZeroPad1d(same_padding(SEPARABLE_KERNEL)),
            nn.Conv1d(f1 * d, f1 * d, SEPARABLE_KERNEL, groups=f1 * d, bias=False),
            nn.Conv1d(f1 * d, f2, 1, bias=False),
            nn.BatchNorm1d(f2),
            nn.ELU(inplace=True),
            MeanPool(second),
            nn.Dropout(dropout),
        )
        self.n_channels = f2  # of the embedding, each with a time course
        self.embedding_dim = f2 * (self.n_times // first // second)
        self.after_step()

    def forward(self, x: Tensor) -> Tensor:
        """Embed (batch, n_chans, n_times) as (batch, f2 * (n_times // 32))."""
        maps = self.spatial_norm(self._filtered(self.standardised(x)))
        embedding: Tensor = self.separable(self.pooling(maps)).flatten(1)
        return embedding

    @torch.no_grad()
    def after_step(self) -> None:
        """Limit the norm of the spatial filters to 1, after a step of the optimiser."""
        self.spatial.copy_(torch.renorm(self.spatial, p=2, dim=0, maxnorm=MAX_NORM))

    def _filtered(self, x: Tensor) -> Tensor:
        """Temporal filters, their normalisation, spatial filters: (batch, f1 * d, n_times)."""
        scale, shift = self._normalisation(x)
        spatial = self.spatial.view(len(scale), -1, self.n_chans)
        filter_mixtures = mixed_and_convolved if torch.compiler.is_exporting() else mixed_and_filtered
        filtered = filter_mixtures(x, spatial, scale[:, None] * self.temporal)
        return (filtered + (shift[:, None] * spatial.sum(dim=2))[:, :, None]).flatten(1, 2)

    def _normalisation(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift, (f1,) each, of the batch normalisation of the temporal filters' outputs."""
        if not self.training:
            return self.temporal_norm.running()
        part = ranks.current()
        counted = x[: part.n_rows or None] if part else x
        lag_mean, lag_covariance = lag_moments(counted, self.temporal.shape[1])
        n_values = x.numel()
        if part:
            second = part.mean(lag_covariance + torch.outer(lag_mean, lag_mean))
            lag_mean, n_values = part.mean(lag_mean), n_values // part.n_run * part.total
            lag_covariance = second - torch.outer(lag_mean, lag_mean)
        filters = self.temporal.double()
        variance = ((filters @ lag_covariance) * filters).sum(dim=1)
        scale, shift = self.temporal_norm(filters @ lag_mean, variance, n_values)
        return scale.to(x.dtype), shift.to(x.dtype)


class MomentNorm(nn.Module):
    """Batch normalisation as scale and shift, from given moments of the values instead of the values.

    Parameters
    ----------
    n_features : number of features, each normalised separately.
    eps, momentum : as in ``nn.BatchNorm1d``.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(n_features))
        self.bias = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))

    def forward(self, mean: Tensor, variance: Tensor, n_values: int) -> tuple[Tensor, Tensor]:
        """Scale and shift, (n_features,) each, from the moments of a batch of ``n_values`` per feature.

        The running moments are updated.
        """
        with torch.no_grad():
            unbiased = variance * n_values / (n_values - 1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return self._affine(mean, variance)

    def running(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, (n_features,) each, from the running moments."""
        return self._affine(self.running_mean, self.running_var)

    def _affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return scale, self.bias - mean * scale


class MeanPool(nn.Module):
    """Mean pooling like ``nn.AvgPool1d``, twice as fast as a product with a vector."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        """Pool (..., n_times) to (..., n_times // length); a rest at the end is dropped."""
        n_means = x.shape[-1] // self.length
        whole = x[..., : n_means * self.length].reshape(*x.shape[:-1], n_means, self.length)
        means: Tensor = whole @ x.new_full((self.length,), 1 / self.length)
        return means


def same_padding(kernel: int) -> tuple[int, int]:
    """Number of zeros before and after a signal with which a convolution keeps its length."""
    return (kernel - 1) // 2, kernel // 2


def mixed_and_filtered(x: Tensor, mixtures: Tensor, filters: Tensor) -> Tensor:
    """Mix the channels and convolve each mixture with a filter, zero-padded, by Fourier transform.

    Parameters
    ----------
    x : shape (batch, n_chans, n_times).
    mixtures : shape (n_filters, n_mixtures, n_chans).
    filters : shape (n_filters, kernel).

    Returns
    -------
    Shape (batch, n_filters, n_mixtures, n_times): at ``t`` the sum over channels and ``k`` of
    ``mixtures[f, m, c] * filters[f, k] * x[b, c, t + k - (kernel - 1) // 2]``.
    """
    n_times, kernel = x.shape[-1], filters.shape[-1]
    left, right = same_padding(kernel)
    n_fft = scipy.fft.next_fast_len(n_times + max(left, right))  # circular: the same zeros pad both ends
    # Spectra are mixed, not signals: the transform of the data then needs no gradient.
    parts = torch.view_as_real(torch.fft.rfft(x, n_fft)).flatten(2)
    mixed = mixtures.flatten(0, 1).expand(len(x), -1, -1).bmm(parts)  # batched: a single product would copy
    spectra = torch.view_as_complex(mixed.view(len(x), *mixtures.shape[:2], -1, 2))
    centred = F.pad(filters, (0, n_fft - kernel)).roll(-left, dims=1)
    values: Tensor = torch.fft.irfft(spectra * torch.fft.rfft(centred).conj()[:, None], n_fft)
    return values[..., :n_times]


def mixed_and_convolved(x: Tensor, mixtures: Tensor, filters: Tensor) -> Tensor:
    """`mixed_and_filtered` without Fourier transforms, for runtimes that have no complex numbers."""
    n_filters, n_mixtures = mixtures.shape[:2]
    mixed = F.pad(mixtures.flatten(0, 1) @ x, same_padding(filters.shape[1]))
    repeated = filters.repeat_interleave(n_mixtures, dim=0)[:, None]
    filtered = F.conv1d(mixed, repeated, groups=len(repeated))
    return filtered.reshape(-1, n_filters, n_mixtures, filtered.shape[2])


def lag_moments(x: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the ``kernel`` samples in a window that slides over all rows.

    The outputs of a filter ``w``, over batch, channels and time, have the mean ``w @ mean`` and the variance
    ``w @ covariance @ w``, so that no filter needs to be applied.

    The second moment is nearly Toeplitz. Along a diagonal, from lags ``(k, l)`` to ``(k + 1, l + 1)``, the
    product of the samples that leave the window is subtracted, and that of the samples that enter it is
    added. The first row is the autocorrelation, except for the end of the signal.

    Parameters
    ----------
    x : shape (batch, n_chans, n_times), zero-padded as in `mixed_and_filtered`.
    kernel : length of the window in samples.

    Returns
    -------
    float64, shapes (kernel,) and (kernel, kernel).
    """
    n_times = x.shape[-1]
    left, right = same_padding(kernel)
    rows = x.flatten(0, 1).double()
    n_fft = scipy.fft.next_fast_len(n_times + kernel - 1, real=True)
    spectrum = torch.view_as_real(torch.fft.rfft(rows, n_fft)).flatten(1)
    power = spectrum.square().sum(dim=0).view(-1, 2).sum(dim=1)
    autocorrelation = torch.fft.irfft(power, n_fft)[:kernel]
    # Of the kernel - 1 samples at either end, the outer ones are zero padding.
    head, tail = F.pad(rows, (0, right - n_times)), F.pad(rows, (left - n_times, 0))
    leaving = by_diagonal(F.pad(head.T @ head, (left, 1, left, 1)))
    entering = by_diagonal(F.pad(tail.T @ tail, (0, right + 1, 0, right + 1)))
    change = torch.cumsum(entering - leaving, dim=0).roll(1, dims=0)
    change[0] = 0
    second = from_diagonals(autocorrelation - entering.sum(dim=0) + change)
    mean = F.pad(rows.sum(dim=0), (left, right)).unfold(0, n_times, 1).sum(dim=1) / x.numel()
    return mean, second / x.numel() - torch.outer(mean, mean)


def by_diagonal(square: Tensor) -> Tensor:
    """The upper diagonals of a matrix (n, n) as columns: ``[i, j]`` is ``square[i, i + j]``, or 0 outside."""
    n = len(square)
    # Reading rows of 2 n values as rows of 2 n + 1 shifts each row by one more value.
    flat = F.pad(F.pad(square, (0, n)).flatten(), (0, n))
    return flat.view(n, 2 * n + 1)[:, :n]


def from_diagonals(diagonals: Tensor) -> Tensor:
    """The symmetric matrix (n, n) whose upper diagonals are the columns: the inverse of `by_diagonal`."""
    n = len(diagonals)
    upper = F.pad(diagonals, (0, n)).flatten()[:-n].view(n, 2 * n - 1)[:, :n]
    return upper + upper.triu(1).T
