"""`fastrnn generate`: text from a trained character model."""

from __future__ import annotations

import argparse
import io
import sys

from fastrnn.cli.options import SEED, Limits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `fastrnn generate`."""
    parser.add_argument("run", metavar="RUN", help="folder that `fastrnn train` wrote")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="text to go on from")
    parser.add_argument(
        "--length",
        type=Limits(int, 1, 10**9).parse,
        default=500,
        metavar="N",
        help="characters to generate after the prompt (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature",
        type=Limits(float, 0, 1e6).parse,
        default=0.8,
        metavar="X",
        help="below 1 is careful, above 1 adventurous, 0 always the likeliest character "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--top-p",
        type=Limits(float, 0, 1, low_allowed=False).parse,
        default=1.0,
        metavar="X",
        help="draw from the likeliest characters that together reach this probability "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=SEED.parse,
        metavar="N",
        help="the same seed gives the same text (default: another text each time)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the prompt and what follows, character by character; return the exit status."""
    from fastrnn.cli.character_model import KIND, continuation, load_model
    from fastrnn.models.run_folder import RunFolder

    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the locale says; a prompt that is not UTF-8 comes out as it went in.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    model, vocabulary = load_model(RunFolder.open(arguments.run, kind=KIND))
    if unknown := sorted(set(arguments.prompt) - set(vocabulary.characters)):
        shown = " ".join(ascii(character) for character in unknown[:8])
        print(f"fastrnn: the model does not know these of the prompt: {shown}", file=sys.stderr)
    print(arguments.prompt, end="", flush=True)
    for character in continuation(
        model,
        vocabulary,
        arguments.prompt,
        length=arguments.length,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        seed=arguments.seed,
    ):
        print(character, end="", flush=True)
    print()
    return 0
