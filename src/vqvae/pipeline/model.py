"""A tokenizer with its priors and its card as one model: all that users of a finished one need."""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from vqvae import seeding
from vqvae.bits import bits_per_dim
from vqvae.codes import Codes, size_of, uniform_log_prob
from vqvae.data.base import Batch, Condition
from vqvae.devices import pick_device
from vqvae.errors import ConfigError, DataError
from vqvae.generation.imagination import Actions, imagine_codes
from vqvae.layers.autoregressive import Choice
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.models.encoding import encode_each, encode_masked
from vqvae.models.streaming import decode_stream, decode_whole, encode_stream
from vqvae.models.tiling import decode_large, is_tiled
from vqvae.pipeline.base import TrainedParts
from vqvae.pipeline.compression import Opened, coders_of, joined, open_file, refusing_spaces, write_file
from vqvae.pipeline.drawing import SAMPLED, Draw, Drawn, draw_codes
from vqvae.pipeline.parts import batches, check_frames, codes_of, continuation, log_prob, whole_codes
from vqvae.progress import tracked
from vqvae.signals import as_tensor

Data = Any
"""What ``Signal.batch`` takes: a tensor, a NumPy array, a PIL picture, or a list of them."""


class Pipeline(TrainedParts):
    """A trained tokenizer and, where there are, its priors. Everything runs in batches and without gradients.

    Data is raw, (n, channels, *axes) as ``signal`` says. The codes of one level are int64 (n, codebooks, *space).
    """

    def to(self, device: torch.device | str) -> "Pipeline":
        """Move all parts to a device. "auto" picks CUDA if there is one, else the CPU.

        Raises:
            ConfigError: there is no such device here.
        """
        device = pick_device(device)
        for part in (self.tokenizer, *self.priors, self.unigram):
            if part is not None:
                part.to(device)
        return self

    def encode(self, data: Data) -> Tensor | Codes:
        """Data to codes: the tensor of one level, int64 (n, codebooks, *space), or ``Codes`` of several. Sides that the stride does not
        divide are padded by repeating the edge. Above 2^20 pixels, overlapping pieces are encoded: the codes are those of the whole.

        Args:
            data: a tensor, a NumPy array or a PIL picture, with or without a batch axis, or a list of examples; see ``Signal.batch``.

        Raises:
            ConfigError: the data is that large and the tokenizer cannot work in pieces.
            DataError: data that is not what the signal says.
        """
        codes = self.encode_batch(Batch(self.signal.batch(data)))
        return codes.tensor if len(codes) == 1 else codes

    @torch.no_grad()
    def encode_batch(self, batch: Batch) -> Codes:
        """A batch of any length, with a mask where its examples have several, to the codes of all levels and their masks, on the CPU.

        Raises:
            DataError: data that is not what the signal says.
        """
        self.signal.check(batch.x)
        return encode_masked(self.tokenizer, batch)

    @torch.no_grad()
    def encode_each(self, examples: Sequence[Data]) -> list[Codes]:
        """Examples of any sizes to the codes of each, with a batch axis of 1, on the CPU. The codes of an example depend on nothing but
        the example. Most is saved if many examples have one size.

        Args:
            examples: one example each, as in ``encode``.

        Raises:
            ConfigError: an example is too large to encode whole, and the tokenizer cannot work in pieces.
            DataError: an example is not what the signal says.
        """
        rows: list[Tensor] = []
        for number, example in enumerate(examples):
            x = self.signal.batch(example)
            if len(x) != 1:
                raise DataError(f"Entry {number} holds {len(x)} examples; one was expected. Give them one by one.")
            rows.append(x[0])
        return encode_each(self.tokenizer, rows)

    @torch.no_grad()
    def decode(
        self,
        codes: Tensor | np.ndarray | tuple[Tensor | np.ndarray, ...],
        size: tuple[int, ...] | None = None,
        speaker: str | int | Int64[Tensor, " n"] | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Codes to data: what the decoder expects of each; of a decoder that draws value by value, one draw.

        Args:
            codes: as ``encode`` gives them, also as NumPy arrays and without a batch axis.
            size: cuts off what ``encode`` padded.
            speaker: whose voice speaks all of it, by name or number, or one number for each, where the decoder has speakers.
            seed: of what is drawn.

        Raises:
            ConfigError: the speaker is missing, not wanted or unknown, or the tokenizer cannot decode that much data in pieces.
            DataError: codes that the tokenizer does not have.
        """
        return self._decode(codes_of(codes, self.layout), size, speaker, seed, self.batch_size)

    def _decode(
        self, levels: Codes, size: tuple[int, ...] | None, speaker: str | int | Int64[Tensor, " n"] | None, seed: int, at_once: int
    ) -> Tensor:
        """``decode``, ``at_once`` examples at a time."""
        label, parts = self._speaker_numbers(speaker, len(levels[0])), []
        whole = size or size_of(tuple(levels[-1].shape[2:]), self.layout[-1].stride, self.layout[-1].lead)
        if is_tiled(self.tokenizer, whole):
            return decode_large(self.tokenizer, levels, whole, label, self.signal)
        parts_of = tracked(batches(len(levels[0]), at_once, whole), "decoding", len(levels[0]), lambda rows: rows.stop - rows.start)
        for number, rows in enumerate(parts_of):
            condition = Condition(label=None if label is None else label[rows].to(self.device))
            generator = seeding.generator(seed, "decode", number, device=self.device)
            temperature = 1.0 if self.tokenizer.draws else 0.0
            made = decode_whole(self.tokenizer, levels.take(rows).to(self.device), condition, generator, temperature, size)
            parts.append(made.cpu())
        return torch.cat(parts)

    def reconstruct(self, data: Data, speaker: str | int | Int64[Tensor, " n"] | None = None) -> Tensor:
        """Encode and decode a batch (n, channels, *axes), at the same size; see ``encode`` and ``decode``."""
        x = self.signal.batch(data)
        return self.decode(self.encode_batch(Batch(x)), tuple(x.shape[2:]), speaker)

    def convert(self, data: Data, speaker: str | int) -> Float[Tensor, "n channels time"]:
        """The same words in another voice [VQVAE §4.3]: only the codes are kept, and who speaks is given anew.

        Raises:
            ConfigError: the decoder has no such speaker; the message lists those that it has.
            DataError: data that is not what the signal says.
        """
        return self.reconstruct(data, speaker)

    def reconstruct_stream(
        self, blocks: Iterable[Shaped[Tensor, "1 channels _block *axes"]], speaker: str | int | None = None
    ) -> Iterator[Shaped[Tensor, "1 channels _piece *axes"]]:
        """``reconstruct`` or ``convert`` for a recording, or a clip of a causal tokenizer, that arrives in blocks. Pieces are returned as
        soon as they can be made. Memory does not grow with the length, except with an encoder that subtracts means of the whole recording.

        Raises:
            ConfigError: the tokenizer has no codes over time, or the speaker is missing, not wanted or unknown.
            DataError: data that is not what the signal says.
        """
        came, made = 0, 0

        def counted() -> Iterator[Tensor]:
            nonlocal came
            for block in blocks:
                came += block.shape[2]
                yield block

        for piece in self.decode_stream(self.encode_stream(counted()), speaker):
            # The last code may stand for more than came.
            yield piece[:, :, : came - made]
            made += piece.shape[2]

    def encode_stream(
        self, blocks: Iterable[Shaped[Tensor, "1 channels _block *axes"]]
    ) -> Iterator[Int64[Tensor, "1 codebooks _codes *space"]]:
        """The codes of a recording, or of a clip of a causal tokenizer, that arrives in blocks; see ``reconstruct_stream``.

        Raises:
            ConfigError: the tokenizer has no codes over time.
            DataError: data that is not what the signal says.
        """
        checked = (self.signal.check(block).to(self.device) for block in blocks)
        for codes in encode_stream(self._streaming(), checked):
            yield codes.cpu()

    def decode_stream(
        self, blocks: Iterable[Int64[Tensor, "1 codebooks _codes *space"]], speaker: str | int | None = None
    ) -> Iterator[Shaped[Tensor, "1 channels _piece *axes"]]:
        """Decode codes that arrive in blocks; see ``reconstruct_stream``. The last piece covers all that the last code stands for.

        Raises:
            ConfigError: the tokenizer has no codes over time, or the speaker is missing, not wanted or unknown.
            DataError: codes that the tokenizer does not have.
        """
        model, label = self._streaming(), self._speaker_numbers(speaker, 1)
        condition = Condition(label=None if label is None else label.to(self.device))
        generator = seeding.generator(0, "decode", 0, device=self.device)
        codes = (block.to(self.device) for block in blocks)
        for piece in decode_stream(model, codes, condition, generator, 1.0 if model.draws else 0.0):
            yield piece.cpu()

    def _streaming(self) -> CodeAutoencoder:
        if not isinstance(self.tokenizer, CodeAutoencoder):
            raise ConfigError(f"{type(self.tokenizer).__name__} cannot decode in pieces; VQVAE with an encoder over time can.")
        return self.tokenizer

    def compress(self, data: Data, *, mode: str | None = None, label: str | int | None = None) -> bytes:
        """One example of any size as the bytes of a ``.vqz`` file; see docs/reference/bitstream.md.

        Args:
            data: one example, as in ``encode``.
            mode: the entropy coder: "prior" (smallest), "static" or "packed" (fastest). Default: the best that the model has.
            label: the class or the speaker, by name or number. It is stored: the decoder speaks in this voice if no other is given.

        Raises:
            ConfigError: the model has no coder for the mode, or the label is unknown.
            DataError: data that is not what the signal says, is empty, or holds several examples.
        """
        x = self.signal.batch(data)
        if len(x) != 1:
            raise DataError(f"{len(x)} examples came; a file holds one. Compress them one by one.")
        file, coders = io.BytesIO(), coders_of(self, mode)
        write_file(self, file, [self.encode_batch(Batch(x))], lambda: tuple(x.shape[2:]), coders, self.stored_label(label))
        return file.getvalue()

    def decompress(self, data: bytes, *, speaker: str | int | None = None) -> Tensor:
        """The example (1, channels, *axes) that ``compress`` or ``vqvae compress`` stored.

        Args:
            data: the bytes of a ``.vqz`` file.
            speaker: whose voice speaks. Default: the speaker that the file names.

        Raises:
            BitstreamError: the bytes are damaged, or were written with another model or a newer release.
            ConfigError: the decoder needs a speaker, and neither the file nor ``speaker`` names one.
        """
        return self.restore(open_file(self, io.BytesIO(data), "The data"), "The data", speaker)

    def restore(self, opened: Opened, name: str, speaker: str | int | None = None) -> Tensor:
        """Decode a whole compressed file; see ``decompress``.

        Args:
            opened: from ``open_file``.
            name: what messages call the file.
            speaker: whose voice speaks. Default: the speaker that the file names.
        """
        codes, voice = joined(opened, name), self.voice(opened.header.label, speaker)
        with refusing_spaces(opened.header, name):
            return self.decode(codes, opened.header.size, voice)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        label: str | int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Draw data: codes from the priors [VQVAE §3.3], level by level, then what the decoder makes of them.

        Args:
            count: how many.
            seed: the same seed gives the same samples; sample i does not depend on ``count``.
            label: a class or a speaker by name or number, where the prior or the decoder takes one; without it each sample's is drawn.
            temperature: divides the logits of the codes; 0 takes the likeliest code each time.
            top_k: draw only from the k likeliest codes.
            top_p: draw only from the likeliest codes that hold this share of the probability.
            size: the length of each axis; without it, that of the training data.

        Raises:
            ConfigError: there is no prior, the label is unknown, or a number is out of range.
        """
        wanted = Draw(count=count, seed=seed, label=label)
        (drawn,) = draw_codes(self, [wanted], Choice(temperature, top_k, top_p), size)
        return self.decode_drawn(drawn, seed)

    def decode_drawn(self, drawn: Drawn, seed: int = 0) -> Tensor:
        """Decode the codes that ``draw_codes`` drew, as ``sample`` does."""
        # One by one, because convolutions round by the shape of the batch; a decoder that draws is too slow for that.
        at_once = self.batch_size if self.tokenizer.draws else 1
        return self._decode(drawn.codes, drawn.size, drawn.labels if self.speakers else None, seed, at_once)

    @torch.no_grad()
    def imagine(
        self,
        frames: Data,
        actions: Actions = (),
        *,
        before: Actions | None = None,
        steps: int | None = None,
        count: int = 1,
        seed: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Imagine what follows: codes of further frames, drawn one after another, and only then decoded [VQVAE §4.4].

        Args:
            frames: the known frames, a clip (channels, time, height, width) or several. If a code stands for several frames, the first
                frames that do not fill a code are not used.
            actions: the action at the last known frame and at each imagined frame but the last: names, numbers, or int64 (clips, steps).
            before: the actions between the known frames. Default: the first of ``actions``.
            steps: number of frames to imagine, for a model without actions.
            count: continuations of each clip.
            seed, temperature, top_k, top_p: as in ``sample``.

        Returns:
            The imagined frames (clips · count, channels, steps, height, width), those of the first clip first.

        Raises:
            ConfigError: if the model has no prior over frames, an action is unknown, or ``count`` is not a whole number of at least 1.
            DataError: if the frames are not what the signal says, or there are too few actions.
        """
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
            raise ConfigError(f"count is {count!r}; it must be a whole number, at least 1.")
        x = self.signal.batch(frames)
        prior, (level, *_) = self.prior, self.layout
        check_frames(x, self.size)
        given = continuation(prior, level, self.card.action_names, x, actions, before, steps)
        assert prior is not None, "continuation checks"
        x = whole_codes(x, level)
        known = self.encode_batch(Batch(x)).tensor.repeat_interleave(count, 0).to(self.device)
        taken = None if given.actions is None else given.actions.repeat_interleave(count, 0).to(self.device)
        codes = imagine_codes(
            *(prior, known, -(-given.steps // level.stride[0]), taken),
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            batch_size=SAMPLED,
        )
        if isinstance(self.tokenizer, CodeAutoencoder):  # Its decoder sees the past.
            codes = torch.cat([known, codes], 2)
            return self._decode(Codes([codes.cpu()]), (x.shape[2] + given.steps, *x.shape[3:]), None, seed, 1)[:, :, x.shape[2] :]
        return self._decode(Codes([codes.cpu()]), (given.steps, *x.shape[3:]), None, seed, 1)

    @torch.no_grad()
    def bits_per_dim(self, data: Data, labels: Int64[Tensor, " n"] | np.ndarray | None = None) -> Float[Tensor, " n"]:
        """−log₂ of the lower bound log p(x|z) + log p(z), a dimension (channels × positions), for each example.

        p(z) is the learned prior, or uniform without one. Without ``labels``, a class-conditional prior is the mixture of its classes.

        Raises:
            ConfigError: the model was trained on a distance, so there are no bits.
            DataError: data that is not what the signal says, or labels that the prior does not know.
        """
        x = self.signal.batch(data)
        labels = None if labels is None else as_tensor(labels)
        parts = []
        for rows in batches(len(x), self.batch_size, tuple(x.shape[2:])):
            condition = Condition(label=None if labels is None else labels[rows])
            parts.append(self.tokenizer.elbo(Batch(x[rows], condition).to(self.device), self.log_prior).cpu())
        return bits_per_dim(-torch.cat(parts), math.prod(x.shape[1:]))

    def log_prior(
        self,
        codes: Tensor | tuple[Tensor, ...],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "n *space"] | None = None,
    ) -> Float[Tensor, " n"]:
        """log p(codes | condition) in nats per example, over all levels, under the learned priors, or the uniform one without them. Only
        codes inside the mask count. Without a label, a class-conditional prior is the mixture of its classes.

        Raises:
            DataError: codes or labels that the prior does not know.
        """
        levels = Codes.of(codes)
        masks = levels.masks if mask is None else (mask,)
        if not self.priors:
            uniform = zip(levels, self.layout, masks, strict=True)
            return torch.stack([uniform_log_prob(one, level.codebook_size, of) for one, level, of in uniform]).sum(0)
        each = [
            log_prob(prior, one, condition._replace(codes=tuple(levels[:number])), of)
            for number, (prior, one, of) in enumerate(zip(self.priors, levels, masks, strict=True))
        ]
        return torch.stack(each).sum(0) if len(each) > 1 else each[0]
