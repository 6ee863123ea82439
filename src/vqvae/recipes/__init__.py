"""Complete settings as Python functions, one file per data set."""

from vqvae.recipes import arrays, cifar10, imagenet, images, speech, video, worlds
from vqvae.recipes.base import Recipe, fitted

RECIPES = {
    recipe.name: recipe
    for recipe in (
        *(worlds.DEMO, images.RECIPE, arrays.RECIPE, cifar10.RECIPE, cifar10.SMALL, imagenet.RECIPE, worlds.WORLDS),
        *(video.WORLDS_VIDEO, video.CRAFTER, video.VIDEO, video.DEMO),
        *(speech.OWN, speech.DEMO, speech.VOICES, speech.WHOLE_WAVE, speech.PHONEMES, speech.VCTK, speech.LIBRISPEECH),
    )
}
"""Every recipe, by name."""

__all__ = ["RECIPES", "Recipe", "fitted"]
