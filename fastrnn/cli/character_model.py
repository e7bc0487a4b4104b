"""The character model of a run folder, and the text that it writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastrnn.cli.error import CommandError
from fastrnn.models.checkpoint import CheckpointError, check_arrays
from fastrnn.models.decoding import sample
from fastrnn.models.language import LanguageModel
from fastrnn.models.run_folder import RunFolder
from fastrnn.preprocessing.text import Vocabulary

KIND = "character-language-model"


def load_model(folder: RunFolder) -> tuple[LanguageModel, Vocabulary]:
    """Return the best model of a run, or its last before the first validation.

    Raises
    ------
    CheckpointError
        If the run is damaged or has no checkpoint.
    """
    model, vocabulary = build_model(folder)
    pointer = "best" if folder.has("best") else "last"
    checkpoint = folder.load(pointer)
    where = f"{folder.path}: {pointer} checkpoint"
    check_arrays(checkpoint.weights, model.weights, where=where)
    try:
        model.load_weights(dict(checkpoint.weights))
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from error
    return model, vocabulary


def build_model(folder: RunFolder) -> tuple[LanguageModel, Vocabulary]:
    """Return the model of a run with fresh weights, and its vocabulary.

    Raises
    ------
    CheckpointError
        If the settings of the run are damaged.
    """
    try:
        vocabulary = Vocabulary.from_list(folder.settings["vocabulary"])
        model = LanguageModel.from_config(folder.settings["model"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder.path / 'run.json'}: damaged, {error}") from error
    if model.get_config().get("vocabulary_size") != len(vocabulary):
        raise CheckpointError(f"{folder.path / 'run.json'}: damaged, vocabulary and model differ")
    return model, vocabulary


def continuation(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prompt: str,
    *,
    length: int,
    temperature: float,
    top_p: float,
    seed: int | None,
) -> Iterator[str]:
    """Yield `length` characters that follow `prompt`, one by one.

    Raises
    ------
    CommandError
        If the model's logits are not finite.
    """
    rng = np.random.default_rng(seed)
    # An empty prompt is the start of a line.
    tokens = vocabulary.encode(prompt or "\n")
    state = model.zero_state(1)
    for token in tokens:
        logits, state = model.next_logits(np.array([token], np.int32), state)
    for _ in range(length):
        if not np.isfinite(logits).all():
            raise CommandError("the model's output is not finite: train it again")
        choices = logits.astype(np.float64)
        choices[:, vocabulary.unknown] = -np.inf
        token = sample(choices, temperature=temperature, top_p=top_p, rng=rng)
        yield vocabulary.decode(token)
        logits, state = model.next_logits(token, state)
