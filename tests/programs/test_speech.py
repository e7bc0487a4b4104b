"""Speech: the sounds are known, but not when they are heard; recordings have unequal lengths."""

import numpy as np
import pytest

from fastrnn import layers, losses, optimizers, random
from fastrnn.models import Sequential
from fastrnn.models.decoding import ctc_beam_search, ctc_greedy

SOUNDS, FRAMES, SILENCE = 4, 24, 0


def recordings(rng, count):
    """Frames (count, FRAMES, SOUNDS + 1), how many, the sounds, and the sound of each frame.

    A sound lasts 2 to 4 frames; between equal ones there is silence, between others perhaps.
    """
    x = np.zeros((count, FRAMES, SOUNDS + 1), np.float32)
    lengths, labels = np.empty(count, int), np.zeros((count, 4), int)
    heard = np.full((count, FRAMES), SILENCE)
    for row in range(count):
        frames, said = [], rng.integers(1, SOUNDS + 1, rng.integers(2, 5))
        for i, sound in enumerate(said):
            pause = rng.integers(0, 3)
            frames += [SILENCE] * max(pause, int(i > 0 and said[i - 1] == sound))
            frames += [sound] * rng.integers(2, 5)
        lengths[row] = len(frames)
        labels[row, : len(said)] = said
        heard[row, : len(frames)] = frames
        x[row, : len(frames)] = np.eye(SOUNDS + 1)[frames]
        x[row, : len(frames)] += rng.normal(0, 0.3, (len(frames), SOUNDS + 1))
    return x, lengths, labels, heard


def spoken(labels):
    return [row[row > 0].tolist() for row in labels]


@pytest.mark.parametrize("network", ["lstm", "bidirectional"])
def test_sounds_are_found_without_knowing_when_they_were(rng, network):
    random.set_seed(1)
    layer = layers.LSTM(24, return_sequences=True)
    if network == "bidirectional":
        layer = layers.Bidirectional(layers.GRU(12, return_sequences=True))
    model = Sequential([layers.Masking(), layer, layers.Dense(SOUNDS + 1)])
    model.compile(optimizers.Adam(0.02), losses.CTC())
    x, lengths, labels, _ = recordings(rng, 256)
    assert len(set(lengths.tolist())) > 5
    losses_of_epochs = model.fit(x, labels, batch_size=32, epochs=20, verbose=0).history["loss"]
    assert losses_of_epochs[-1] < 0.05 * losses_of_epochs[0]

    x, lengths, labels, heard = recordings(rng, 64)
    logits = model.predict(x, verbose=0)
    by_time = logits.swapaxes(0, 1)
    greedy = [found.labels for found in ctc_greedy(by_time, lengths)]
    beams = [best[0].labels for best in ctc_beam_search(by_time, lengths, beams=4)]
    for found in (greedy, beams):
        assert np.mean([a == b for a, b in zip(found, spoken(labels), strict=True)]) > 0.85
    # A sound is named while it lasts, or in the two frames after it.
    path = logits.argmax(axis=2)
    lately = [np.pad(heard, ((0, 0), (late, 0)))[:, :FRAMES] for late in range(3)]
    is_named = (path != SILENCE) & (np.arange(FRAMES) < lengths[:, None])
    assert np.any([path == then for then in lately], axis=0)[is_named].mean() > 0.95
