"""``vqvae recipes``."""

import json
from collections.abc import Sequence

from vqvae.cli.arguments import parse
from vqvae.config import settings
from vqvae.recipes import RECIPES


@settings
class Arguments:
    json: bool = False
    """Print the results as one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """List the recipes."""
    chosen = parse(Arguments, "recipes", arguments, "List what can be trained, with its source and its cost.")
    table = {
        name: {"summary": recipe.summary, "paper": recipe.paper, "cost": recipe.cost, "expected": recipe.expected}
        for name, recipe in RECIPES.items()
    }
    if chosen.json:
        print(json.dumps(table))
        return 0
    for name, row in table.items():
        print(f"{name}: {row['summary']}")
        for key in ("paper", "cost", "expected"):
            print(f"    {key:<8}  {row[key]}")
    return 0
