r"""Tasks from data to figures: one file each, without a command line.

A recipe reads its data, builds its model, lets it learn and measures it against simple baselines.

Examples
--------
>>> import math, pathlib, tempfile
>>> from fastrnn.recipes import Series
>>> folder = tempfile.TemporaryDirectory()
>>> path = pathlib.Path(folder.name, "wave.csv")
>>> _ = path.write_text("\n".join(str(math.sin(t / 3)) for t in range(200)))
>>> recipe = Series(path, window=8, units=8, learning_rate=0.01)
>>> recipe.fit(epochs=20)
>>> model, naive, *_ = recipe.evaluate().scores
>>> model.value < naive.value
True
>>> folder.cleanup()
"""

from fastrnn.recipes.digits import Digits
from fastrnn.recipes.g2p import Pronunciation
from fastrnn.recipes.music import Music
from fastrnn.recipes.recipe import DivergenceError, Panel, Recipe, RecipeError, Report, Score
from fastrnn.recipes.sentiment import Sentiment
from fastrnn.recipes.series import Series
from fastrnn.recipes.words import Words

__all__ = [
    "Digits",
    "DivergenceError",
    "Music",
    "Panel",
    "Pronunciation",
    "Recipe",
    "RecipeError",
    "Report",
    "Score",
    "Sentiment",
    "Series",
    "Words",
]
