"""RNN, GRU and LSTM in float64 NumPy, step by step from ONNX' equations."""

import numpy as np

FUNCTIONS = {
    "affine": lambda x, alpha=1.0, beta=0.0: alpha * x + beta,
    "elu": lambda x, alpha=1.0: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "hardsigmoid": lambda x, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0, 1),
    "leakyrelu": lambda x, alpha=0.01: np.where(x >= 0, x, alpha * x),
    "relu": lambda x: np.maximum(x, 0),
    "scaledtanh": lambda x, alpha=1.0, beta=1.0: alpha * np.tanh(beta * x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
    "thresholdedrelu": lambda x, alpha=1.0: np.where(x >= alpha, x, 0),
}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def run(op, X, W, R, B=None, sequence_lens=None, initial_h=None, initial_c=None, P=None, **given):
    """Y, Y_h and, for an LSTM, Y_c; `given` are the node's attributes."""
    turns = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}
    turns = turns[given.get("direction", "forward")]
    batch_major = given.get("layout", 0) == 1
    if batch_major:
        X = X.swapaxes(0, 1)
        initial_h, initial_c = (
            s if s is None else s.swapaxes(0, 1) for s in (initial_h, initial_c)
        )
    X = X.astype(np.float64)
    (T, batch, _), H, G = X.shape, R.shape[2], GATES[op]
    D = len(turns)
    lengths = [T] * batch if sequence_lens is None else sequence_lens
    clip = float(np.float32(given.get("clip", np.inf)))  # files have float32
    names = given.get("activations", DEFAULTS[op] * D)
    alphas, betas = (
        iter(np.float32(given.get(f"activation_{k}", [])).tolist()) for k in ("alpha", "beta")
    )
    functions = []
    for name in map(str.lower, names):
        constants = []
        if name in ("affine", "elu", "hardsigmoid", "leakyrelu", "scaledtanh", "thresholdedrelu"):
            constants += [v for v in [next(alphas, None)] if v is not None]
        if name in ("affine", "hardsigmoid", "scaledtanh"):
            constants += [v for v in [next(betas, None)] if v is not None]
        functions.append((FUNCTIONS[name], constants))

    def apply(index, x, bound=clip):
        function, constants = functions[index]
        return function(np.clip(x, -bound, bound), *constants)

    Y = np.zeros((T, D, batch, H))
    finals = np.zeros((2 if op == "LSTM" else 1, D, batch, H))
    for d, turn in enumerate(turns):
        first = d * len(DEFAULTS[op])
        Wd, Rd = W[d].astype(np.float64), R[d].astype(np.float64)
        bias = np.zeros(2 * G * H) if B is None else B[d].astype(np.float64)
        Wb, Rb = bias[: G * H], bias[G * H :]
        p = np.zeros((3, H)) if P is None else P[d].astype(np.float64).reshape(3, H)
        for b in range(batch):
            h = np.zeros(H) if initial_h is None else initial_h[d, b].astype(np.float64)
            c = np.zeros(H) if initial_c is None else initial_c[d, b].astype(np.float64)
            for t in range(lengths[b])[::turn]:
                x = X[t, b] @ Wd.T + Wb
                if op == "RNN":
                    h = apply(first, x + h @ Rd.T + Rb)
                elif op == "GRU":
                    (xz, xr, xn), (Rz, Rr, Rn) = np.split(x, 3), np.split(Rd, 3)
                    bz, br, bn = np.split(Rb, 3)
                    z, r = apply(first, xz + h @ Rz.T + bz), apply(first, xr + h @ Rr.T + br)
                    if given.get("linear_before_reset"):
                        n = apply(first + 1, xn + r * (h @ Rn.T + bn))
                    else:
                        n = apply(first + 1, xn + (r * h) @ Rn.T + bn)
                    h = (1 - z) * n + z * h
                else:
                    ai, ao, af, ac = np.split(x + h @ Rd.T + Rb, 4)
                    i = apply(first, ai + p[0] * c)
                    f = 1 - i if given.get("input_forget") else apply(first, af + p[2] * c)
                    c = f * c + i * apply(first + 1, ac)
                    h = apply(first, ao + p[1] * c) * apply(first + 2, c, np.inf)
                Y[t, d, b] = h
            if lengths[b]:
                finals[:, d, b] = [h, c] if op == "LSTM" else [h]
    if batch_major:
        Y, finals = Y.transpose(2, 0, 1, 3), finals.swapaxes(1, 2)
    return [Y, *finals]
