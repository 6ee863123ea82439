"""Complete settings as Python functions, one file a data set, and the stages that carry them out."""

from vqvae.recipes import cifar10, imagenet, images, worlds
from vqvae.recipes.base import Recipe

RECIPES = {recipe.name: recipe for recipe in (worlds.DEMO, images.RECIPE, cifar10.RECIPE, cifar10.SMALL, imagenet.RECIPE, worlds.WORLDS)}
"""Every recipe, by name."""

__all__ = ["RECIPES", "Recipe"]
