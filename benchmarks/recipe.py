"""Train both stages of a recipe, score them, and write the table and the pictures.

    python benchmarks/recipe.py demo
    python benchmarks/recipe.py cifar10-small --data PATH [--run runs/cifar10-small] [--out docs/results]

The last line is one JSON object. An interrupted run resumes.
"""

import argparse
import json
from pathlib import Path

from vqvae.experiments.tables import tabulate
from vqvae.recipes import RECIPES
from vqvae.runs.stages import prior_config, train_prior, train_tokenizer
from vqvae.training import RunOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--data", help="the data, a file or folder")
    parser.add_argument("--run", type=Path, help="the run folder")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="the folder for the table")
    arguments = parser.parse_args()
    recipe, options = RECIPES[arguments.recipe], RunOptions()
    run = arguments.run or Path("runs") / recipe.name
    train_tokenizer(recipe.tokenizer(arguments.data), options, run, recipe=recipe.name, scored=False)
    train_prior(prior_config(run), options, run)
    record = tabulate(run, arguments.out, recipe.name, f"{recipe.name}: {recipe.summary}")
    print((arguments.out / f"{recipe.name}.md").read_text(encoding="utf-8"))
    print(json.dumps(record))


if __name__ == "__main__":
    main()
