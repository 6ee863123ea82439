"""What clients send as JSON, for the checks and for the description of the interface."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Code = Annotated[int, Field(ge=-1, lt=2**31)]
Seed = Annotated[int, Field(ge=-(2**63) + 1, lt=2**63)]
Temperature = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
TopK = Annotated[int, Field(ge=1, lt=2**31)]
Format = Literal["png", "wav", "gif", "mp4", "npy"] | None
TopP = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LevelBody(_Body):
    """The codes of one level."""

    shape: Annotated[list[Annotated[int, Field(ge=1, lt=2**31)]], Field(min_length=1, max_length=8)]
    """Codebooks, then the length of each axis of space."""
    data: list[Code]
    """The codes in this order, the last axis fastest."""


class CodesBody(_Body):
    """The codes of one example, the coarsest level first."""

    levels: Annotated[list[LevelBody], Field(min_length=1, max_length=16)]


class DecodeBody(_Body):
    """What decode takes."""

    codes: CodesBody
    size: list[Annotated[int, Field(ge=1, lt=2**31)]] | None = None
    """The length of each axis of the data; cuts off what encode padded."""
    voice: str | int | None = None
    """Whose voice speaks, by name or number. Default: the first."""
    format: Format = None
    """The format of the answer. Default: the usual one of the kind of data."""


class SampleBody(_Body):
    """What sample takes."""

    count: Annotated[int, Field(ge=1, lt=2**31)] = 1
    seed: Seed = 0
    temperature: Temperature = 1.0
    top_k: TopK | None = None
    top_p: TopP | None = None
    label: str | int | None = None
    """A class or a voice, by name or number. Default: drawn for each sample."""
    codes: CodesBody | None = None
    """Codes of which some are kept."""
    keep: list[int] | list[list[int]] | None = None
    """Which positions are kept: 0 or 1 for each; of several levels, a list for each. Default: all codes but -1."""
    format: Format = None
    """The format of the examples. Default: the usual one of the kind of data."""
    stream: bool = False
    """Send events while the codes are drawn."""


class ImagineBody(_Body):
    """What imagine takes."""

    start: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The number of a real start; see ``starts`` of the model."""
    actions: list[str | int] = []
    """The action at each imagined frame."""
    steps: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """Frames to imagine, for a model without actions."""
    seed: Seed = 0
    temperature: Temperature = 1.0
    top_k: TopK | None = None
    top_p: TopP | None = None
    stream: bool = False
    """Send each frame as an event. Otherwise, the answer is a GIF."""


class WorldBody(_Body):
    """What a world begins with."""

    start: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """The number of a real start. Default: one drawn by the seed."""
    seed: Seed = 0
    temperature: Temperature = 1.0
    engine: bool = True
    """Show the engine's frames too, if it is installed."""


class StepBody(_Body):
    """What the player does."""

    action: str | int | None = None
    """The action, by name or number. None for a model without actions."""
