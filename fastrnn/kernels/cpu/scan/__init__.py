"""The fused time loop, forward and backward, for any cell.

A worker owns a slice of the batch and walks all time steps alone: threads never meet between
steps, and a row's arithmetic does not depend on how the batch is split.  Where the batch is too
small for the threads, several workers share a slice as a team, each with some of the hidden
units, and meet after every step.  Hidden units are worked on in panels of U vectors of V: a tile
holds all gates of a panel's units for a few rows, and the cell's formula runs on it while it is in
the first-level cache.

Memory (G gates, w = G * U * V numbers in a row of a panel, P = ceil(H / (U * V)) panels, N rows in
all steps together, S states):

    gates    (P, N, w)          panel-major, and in a row gate by gate: the formula stores a row
                                at once, and it is already the packed operand of every product in
                                the backward pass
    h        (B + N, H)         the B initial rows, then the rows of step 0, 1, ...; `h_row` apart
    extra    (S - 1, B + N, P * U * V)   the other states, likewise; (S - 1, B, P * U * V) in
                                place when nothing is saved
    W, R     (P, I or H, gates * U * V)  only the gates that the input or the state reaches
    bias     (P, w)

Two kinds of cells differ: where h is projected, it has S numbers instead of H, and R as many rows
(`scan.projection`); and cells with layer normalisation have loops of their own
(`scan.normalised`).

The rows of step t are `rows[t] .. rows[t + 1]`; sequences are in order of falling length, so that
sequence b is row `rows[t] + b` of every step that it reaches.
"""

from fastrnn.kernels.cpu.scan.backward import BackwardScan, ProjectedBackwardScan, backward
from fastrnn.kernels.cpu.scan.forward import ProjectedScan, Scan, forward
from fastrnn.kernels.cpu.scan.normalised import NormalisedScan
from fastrnn.kernels.cpu.scan.normalised import forward as normalised_forward
from fastrnn.kernels.cpu.scan.normalised_backward import NormalisedBackwardScan
from fastrnn.kernels.cpu.scan.normalised_backward import backward as normalised_backward

__all__ = [
    "BackwardScan",
    "NormalisedBackwardScan",
    "NormalisedScan",
    "ProjectedBackwardScan",
    "ProjectedScan",
    "Scan",
    "backward",
    "forward",
    "normalised_backward",
    "normalised_forward",
]
