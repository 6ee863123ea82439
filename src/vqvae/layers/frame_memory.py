"""The memory of past frames and actions, for priors over frames of codes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqvae.layers.codes_output import embed_codes
from vqvae.layers.pixelcnn import gate
from vqvae.layers.residual import ResidualBlock2d


class FrameMemory(nn.Module):
    """A map of channels that takes in one frame and one action at a time.

    codes of a frame ─ embeddings ┐
    memory ───────────────────────┴ convolution of the action ─ gate ─ memory of the next frame
    memory ─ 1×1 + places ─ overview ─ residual blocks ─ ReLU ─ features of the next frame

    It runs once per frame, so a frame costs the same however many came before. Each action has its own convolution, because an action
    decides where things move.
    """

    def __init__(
        self,
        *,
        codebook_size: int,
        num_codebooks: int,
        actions: int,
        memory: int,
        reach: int,
        embedding: int,
        places: int,
        overview: int,
        blocks: int,
        width: int,
    ) -> None:
        """Create an empty memory.

        Args:
            codebook_size: codes of each codebook.
            num_codebooks: codes per position.
            actions: number of actions. 0: none.
            memory: channels of the memory.
            reach: columns that a frame moves at most, each way, from one frame to the next.
            embedding: channels of the embedding of codes.
            places: channels of the embedding of positions.
            overview: heads that look at the whole memory. 0: no overview.
            blocks: residual blocks between the memory and the features.
            width: channels of these blocks and of the features.
        """
        super().__init__()
        given, columns = embedding + memory, 2 * reach + 1
        self.seen = nn.Parameter(torch.randn(num_codebooks, codebook_size, embedding).div_(num_codebooks**0.5))
        convolutions = (nn.Conv2d(given, 2 * memory, (3, columns), padding=(1, reach)) for _ in range(max(actions, 1)))
        self.moves = nn.ModuleList(convolutions)
        self.first = nn.Parameter(torch.zeros(memory))
        self.recall = nn.Conv2d(memory, width, 1)
        self.where = nn.Linear(places, width, bias=False)
        self.overview = Overview(width, overview) if overview else nn.Identity()
        self.blocks = nn.Sequential(*(ResidualBlock2d(width, width // 2 or 1) for _ in range(blocks)))

    def nothing(self, batch_size: int, space: tuple[int, ...]) -> Float[Tensor, "batch memory height width"]:
        """The memory before the first frame."""
        return self.first.view(1, -1, 1, 1).expand(batch_size, -1, *space)

    def remember(
        self,
        memory: Float[Tensor, "batch memory height width"],
        codes: Int[Tensor, "batch codebooks height width"],
        action: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch memory height width"]:
        """The memory after a frame and the action that followed it."""
        seen = embed_codes(codes, self.seen).movedim(-1, 1)
        x = torch.cat([seen.to(memory.dtype), memory], 1)
        present = action.unique().tolist()
        if len(present) == 1:
            moved = self.moves[present[0]](x)
        else:
            moved = x.new_empty(len(x), 2 * memory.shape[1], *x.shape[2:])
            for number in present:
                rows = (action == number).nonzero()[:, 0]
                moved[rows] = self.moves[number](x[rows]).to(moved.dtype)
        return gate(moved.movedim(1, -1)).movedim(-1, 1)

    def features(
        self, memory: Float[Tensor, "batch memory height width"], places: Float[Tensor, "height width places"]
    ) -> Float[Tensor, "batch height width features"]:
        """What the memory says about each position of the next frame."""
        x = self.overview(self.recall(memory) + self.where(places).movedim(-1, 0))
        return self.blocks(x).relu().movedim(1, -1)

    def before_each(
        self, codes: Int[Tensor, "batch codebooks time height width"], actions: Int[Tensor, "batch steps"]
    ) -> Float[Tensor, "batch time memory height width"]:
        """The memory before each frame of clips, which have at least one frame and an action after each frame but the last."""
        memories = [self.nothing(len(codes), tuple(codes.shape[3:]))]
        for number in range(codes.shape[2] - 1):
            memories.append(self.remember(memories[-1], codes[:, :, number], actions[:, number]))
        return torch.stack(memories, 1)

    def before_last(
        self, codes: Int[Tensor, "batch codebooks time height width"], actions: Int[Tensor, "batch steps"]
    ) -> Float[Tensor, "batch memory height width"]:
        """The memory before the last frame of clips, after a number of earlier frames that is drawn for each clip."""
        time = codes.shape[2]
        first = torch.randint(time, (len(codes),), device=codes.device)
        empty = self.nothing(len(codes), tuple(codes.shape[3:]))
        memory = empty.clone()
        for number in range(time - 1):
            rows = (first <= number).nonzero()[:, 0]
            if len(rows):
                remembered = self.remember(memory[rows], codes[rows, :, number], actions[rows, number])
                memory = memory.index_copy(0, rows, remembered.to(memory.dtype))
        return memory


class Overview(nn.Module):
    """Scale and shift all positions by what a few heads read anywhere on the map [global context, arXiv 1904.11492].

    One place can decide about the whole next frame: a wall in front of a player means that nothing moves. Convolutions carry such news
    too slowly. Each head chooses its place by what stands there and by the position, whose embedding is part of the input.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(width, heads, 1)
        self.mix = nn.Sequential(nn.Linear(heads * width, width), nn.ReLU(), nn.Linear(width, 2 * width))
        last = self.mix[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Float[Tensor, "batch width height columns"]) -> Float[Tensor, "batch width height columns"]:
        """Keep the shape. At first, nothing changes."""
        weights = self.look(x).flatten(2).softmax(2)
        scale, shift = self.mix((weights @ x.flatten(2).transpose(1, 2)).flatten(1)).unsqueeze(2).unsqueeze(3).chunk(2, 1)
        return x * (1 + scale) + shift
