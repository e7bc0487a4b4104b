"""One call of `functional.rnn` with a cell that has layer normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional.gradients import Cotangents
from fastrnn.functional.panels import unpacked
from fastrnn.functional.products import input_gradient, packed_bias, project, weight_gradient
from fastrnn.functional.run import Run
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers, layer_norm, scan
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.target import tile_of

Array = NDArray[Any]


class NormalisedRun(Run):
    """A `Run` whose x @ W and h @ R are normalised; see `kernels.cpu.scan.normalised`."""

    def __init__(self, weights: Weights, training: bool) -> None:
        super().__init__(weights, training)
        tile = tile_of(self.dtype)
        self._block = tile.rows * tile.vectors
        self._gains: dict[str, Any] = {
            "gain_h": weights.gains("gain_h", self.tile.recurrent.panels),
            "gain_c": None,
            "bias_c": None,
        }
        if "gain_c" in weights.extra:
            for name in ("gain_c", "bias_c"):
                self._gains[name] = weights.padded(name)

    def _walk(self) -> None:
        """Normalise x @ W and run the time loop."""
        B, N = self.steps.B, self.steps.N
        weights, tile, training = self.weights, self.tile, self.training
        panels, recurrent = tile.input.panels, tile.recurrent.panels
        rows = N if self.ids is None else len(self.E)
        self.u = self._empty(panels.number, rows, panels.width)
        nothing = packed_bias(None, panels, self.dtype)
        project(self.x_rows, weights.input(), nothing, panels, tile.input.alone, self.u)
        self.scales_x = self._empty(rows)
        arguments = layer_norm.Normalisation(
            rows, weights.H, tile.units, panels.number, panels.vectors, self._block, self.u,
            self.scales_x,
        )  # fmt: skip
        layer_norm.normalise(None, arguments, workers_over(self.u.size))

        v_rows = N if training else B
        self.v = self._empty(recurrent.number, v_rows, recurrent.width)
        self.statistics: dict[str, Any] = dict.fromkeys(("scales_h", "means_c", "scales_c"))
        if training:
            self.gates = self._empty(tile.all.number, N, tile.all.width)
            self.statistics = {name: self._empty(N) for name in self.statistics}
        members = self.plan.members
        common = self._common() | self._gains | self.statistics
        given = scan.NormalisedScan(
            **common, masked=self.masked, ids=self.ids, u=self.u, u_rows=rows,
            R=weights.recurrent(), gain_x=weights.gains("gain_x", panels), bias=weights.bias(),
            v=self.v, v_rows=v_rows,
            unit_means=self._empty(B, tile.padded), unit_spreads=self._empty(B, tile.padded),
            row_means=self._empty(members, B), row_scales=self._empty(members, B),
            saving=int(training),
        )  # fmt: skip
        self._run(scan.normalised_forward, given)

    def _empty(self, *shape: int) -> Array:
        return buffers.empty(shape, self.dtype)

    def _walk_back(self, cotangents: Cotangents) -> None:
        """Run the time loop backwards."""
        B, tile = self.steps.B, self.tile
        recurrent, members = tile.recurrent.panels, self.plan.members
        self.gain_sums = {
            "gain_h": buffers.zeros((recurrent.number, B, recurrent.width), self.dtype),
            "gain_c": buffers.zeros((B, tile.padded), self.dtype),
            "bias_c": buffers.zeros((B, tile.padded), self.dtype),
        }
        sums = {f"{name}_sums": array for name, array in self.gain_sums.items()}
        scratch = {
            name: self._empty(B, tile.padded) for name in ("do", "e", "unit_sums", "unit_products")
        }
        common = self._common_back(cotangents) | self._gains | self.statistics | sums | scratch
        arguments = scan.NormalisedBackwardScan(
            **common, v=self.v,
            row_sums=self._empty(members, B), row_products=self._empty(members, B),
        )  # fmt: skip
        self._run(scan.normalised_backward, arguments)

    def _input_gradients(self, wants_dx: bool) -> tuple[Array | None, Array, Array | None]:
        """Return dx, or None, dW and db, or None; keep the gradient of gain_x."""
        weights, tile = self.weights, self.tile
        panels, share = tile.input.panels, tile.input.alone
        da = self._products_gradient()
        rows = self.u.shape[1]
        blocks = -(-rows // self._block)
        gain_sums = self._empty(blocks, panels.number, panels.width)
        bias_sums = None
        if weights.b is not None:
            bias_sums = self._empty(blocks, tile.all.number, tile.all.width)
        arguments = layer_norm.Gradient(
            rows, weights.H, tile.units, panels.number, panels.vectors, self._block,
            tile.all.vectors, tile.input.first, da, weights.gains("gain_x", panels),
            self.scales_x, self.u, gain_sums, bias_sums,
        )  # fmt: skip
        layer_norm.gradient(None, arguments, workers_over(self.u.size))
        self.gain_sums["gain_x"] = gain_sums.swapaxes(0, 1)
        db = None
        if weights.b is not None and bias_sums is not None:
            db = unpacked(bias_sums.sum(axis=0)[:, None], tile.all, len(weights.b))[0]
        dW, _ = weight_gradient(self.x_rows, self.u, panels, share, False)
        dW = unpacked(dW, panels, weights.W.shape[1])
        dx = input_gradient(weights.W, self.u, panels, share) if wants_dx else None
        return self._as_given(dx), dW, db

    def _recurrent_gradient(self) -> Array | None:
        """Return dR."""
        panels, share = self.tile.recurrent.panels, self.tile.recurrent.alone
        dR, _ = weight_gradient(self._multiplied_h(), self.v, panels, share, False)
        return unpacked(dR, panels, self.weights.R.shape[1])

    def _extra_gradients(self) -> dict[str, Array] | None:
        """Return the gradients of the gains and of the bias of the state."""
        extra = {}
        panels = {"gain_x": self.tile.input.panels, "gain_h": self.tile.recurrent.panels}
        for name, weight in self.weights.extra.items():
            if name in panels:
                sums = self.gain_sums[name].sum(axis=1)[:, None]
                extra[name] = unpacked(np.ascontiguousarray(sums), panels[name], len(weight))[0]
            else:
                extra[name] = self.gain_sums[name].sum(axis=0)[: len(weight)]
        return extra


def run_of(weights: Weights, training: bool) -> Run:
    """Return a run, ready to be given its arguments."""
    return (NormalisedRun if weights.is_normalised else Run)(weights, training)
