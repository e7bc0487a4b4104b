"""From what a model says to texts and labels: sampling, generation, beam search, CTC."""

from fastrnn.models.decoding.beam import Hypotheses, beam_search, length_penalty
from fastrnn.models.decoding.ctc import Labelling, ctc_beam_search, ctc_greedy
from fastrnn.models.decoding.generation import Texts, generate
from fastrnn.models.decoding.sampling import sample
from fastrnn.models.decoding.steps import Memory

__all__ = [
    "Hypotheses",
    "Labelling",
    "Memory",
    "Texts",
    "beam_search",
    "ctc_beam_search",
    "ctc_greedy",
    "generate",
    "length_penalty",
    "sample",
]
