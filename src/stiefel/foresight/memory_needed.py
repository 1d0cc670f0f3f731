"""How much memory a run needs on each GPU, from the shapes of a model: a formula whose terms are held to measurements.

Of a decoder of Llama's kind (RMSNorm, gated MLP, grouped attention) as transformers writes it, with PyTorch's sdpa.
docs/scaling.md derives the terms. Numbers of weights are exact; what frameworks keep for themselves is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import UserError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # whose decoder layers are the one that is counted here
FLOAT = 4  # bytes of a float32 number
TILE = (4096, 32768)  # tokens × vocabulary of which TRL computes logits at once
LINEAR = 7  # matrices of a layer that an adapter stands on


@dataclass(frozen=True)
class Shapes:
    """The sizes of a decoder; `width` is the query's, heads × the size of a head, `narrow` the keys'."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    groups: int
    head: int
    vocabulary: int
    tied: bool
    head_norms: bool = False
    biases: bool = False

    @property
    def width(self) -> int:
        """Of the queries of a token."""
        return self.heads * self.head

    @property
    def narrow(self) -> int:
        """Of the keys of a token."""
        return self.groups * self.head

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(out, in) of a layer's linear modules: q, k, v, o, gate, up, down."""
        d, f = self.hidden, self.intermediate
        return (self.width, d), (self.narrow, d), (self.narrow, d), (d, self.width), (f, d), (f, d), (d, f)

    @property
    def layer(self) -> int:
        """Numbers in one layer."""
        vectors = 2 * self.hidden + 2 * self.head * self.head_norms + (self.width + 2 * self.narrow) * self.biases
        return sum(m * n for m, n in self.matrices) + vectors

    @property
    def outside(self) -> int:
        """Numbers in no layer: embedding, last norm, head."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + self.hidden

    @property
    def parameters(self) -> int:
        """All numbers of the model."""
        return self.layers * self.layer + self.outside

    def adapter(self, rank: int) -> int:
        """Numbers of a LoRA on every linear module: Σ r(m + n)."""
        return self.layers * rank * sum(m + n for m, n in self.matrices)


def shapes_of(config: Any) -> Shapes:
    """The same from a transformers config; raises UserError for another family, whose layers are not counted here."""
    text = config.get_text_config()
    if text.model_type not in FAMILIES:
        raise UserError(
            f"the memory of a model of the type {text.model_type}",
            f"what is kept of a token is counted for {', '.join(FAMILIES)}",
            "measure it: peak_memory_bytes in the metrics of a run of one rollout",
        )
    sizes = text.to_dict()
    heads = sizes["num_attention_heads"]
    return Shapes(
        layers=sizes["num_hidden_layers"],
        hidden=sizes["hidden_size"],
        intermediate=sizes["intermediate_size"],
        heads=heads,
        groups=sizes["num_key_value_heads"],
        head=sizes.get("head_dim") or sizes["hidden_size"] // heads,
        vocabulary=sizes["vocab_size"],
        tied=sizes["tie_word_embeddings"],
        head_norms=text.model_type == "qwen3",
        biases=text.model_type == "qwen2",
    )


@dataclass(frozen=True)
class Step:
    """What is trained and how: an adapter of a rank, or with `rank` = 0 all weights; `rows` × `length` tokens a pass.

    `weight` is the bytes of a frozen weight, `number` of an activation: 2 under autocast. `processes` > 1 divides the
    base by FSDP2.
    """

    rank: int
    rows: int
    length: int
    anchored: bool = False
    weight: int = 2
    number: int = 2
    checkpointed: bool = False
    processes: int = 1

    @property
    def tokens(self) -> int:
        """In one forward pass."""
        return self.rows * self.length


@dataclass(frozen=True)
class Needed:
    """Bytes on each GPU while it trains.

    `activations` are kept until the backward pass; during it there is either `head`, a tile of logits with its
    gradients, or `again`, the checkpointed layer that is computed again; `copies` are the gradients in float32 while
    the optimizer steps, when no activations are left.
    """

    weights: int
    trained: int
    activations: int
    head: int
    again: int = 0
    copies: int = 0

    @property
    def total(self) -> int:
        """At the moment when it is most."""
        return self.weights + self.trained + max(self.activations + max(self.head, self.again), self.copies)


def needed(shapes: Shapes, step: Step) -> Needed:
    """Its terms; raises UserError for full weights that are to be divided, which no method of ours trains."""
    if step.processes > 1 and not step.rank:
        raise UserError("full weights under FSDP2", "they are trained whole", "processes = 1: DDP holds all on each")
    layer = kept(shapes, step)
    inputs = shapes.layers * step.weight * shapes.hidden * step.tokens
    last = step.tokens * (FLOAT * (shapes.hidden + 1) + step.number * shapes.hidden * (1 if step.rank else 2))
    if step.rank and not step.anchored and step.number != FLOAT:
        last += shapes.adapter(step.rank) * step.number  # autocast's copies of the factors
    return Needed(
        weights=weights(shapes, step),
        trained=trained(shapes, step),
        activations=last + (inputs if step.checkpointed else shapes.layers * layer),
        head=tile(shapes, step),
        again=layer if step.checkpointed else 0,
        copies=0 if step.rank or step.weight == FLOAT else shapes.parameters * FLOAT,
    )


def weights(shapes: Shapes, step: Step) -> int:
    """The base: P numbers; divided among N processes P/N, three layers on their way and what lies outside of layers.

    FSDP2 holds the layer that is computed, the next one, and the buffer in which a layer arrives.
    """
    if step.processes == 1:
        return shapes.parameters * step.weight
    gathered = 3 * shapes.layer + shapes.outside
    return (shapes.parameters // step.processes + gathered) * step.weight


def trained(shapes: Shapes, step: Step) -> int:
    """Factors, gradients and AdamW's two moments in float32, 16 bytes a number, and 4 for its anchor.

    Of full weights: the gradient and the base in the weights' type, AdamW's float32 copy and moments, and where the
    type is another one the decay's float32 centre.
    """
    if step.rank:
        return shapes.adapter(step.rank) * FLOAT * (5 if step.anchored else 4)
    centre = FLOAT if step.weight != FLOAT else 0
    return shapes.parameters * (2 * step.weight + 3 * FLOAT + centre)


def kept(shapes: Shapes, step: Step) -> int:
    """What autograd keeps of one layer, frozen and adapted or trained.

    Numbers of a token: the residual stream before each norm (float32), both norms' outputs, queries, keys and values
    once for each head, attention's output, four of the MLP (gate, its SiLU, up, their product), Ax of each matrix; of
    float32 factors under autocast the inputs once more for each matrix that shares one. Attention keeps its
    log-sum-exp, and the mask of padding once for every pair of tokens of a row.
    """
    d, f, q, k = shapes.hidden, shapes.intermediate, shapes.width, shapes.narrow
    rounded = step.number != FLOAT
    numbers = 4 * f + 4 * q
    if step.rank:
        numbers += LINEAR * step.rank + (5 * d + q if rounded else 2 * d)
    else:
        numbers += 4 * d + shapes.head_norms * (q + k)
    floats = 2 * d + shapes.heads + 2 + shapes.head_norms * (q + k + shapes.heads + shapes.groups)
    mask = step.number * step.length
    return step.tokens * (step.number * numbers + FLOAT * floats + mask)


def tile(shapes: Shapes, step: Step) -> int:
    """A tile of logits and the last hidden states' gradient in float32; of full weights also the head's gradient."""
    logits = min(step.tokens, TILE[0]) * TILE[1] * step.number
    own = 0 if step.rank else shapes.vocabulary * shapes.hidden * FLOAT
    return logits + step.tokens * shapes.hidden * FLOAT + own


def cache(shapes: Shapes, rows: int, length: int, number: int = 2) -> int:
    """Keys and values of `rows` sequences that are generated at once."""
    return 2 * shapes.layers * shapes.narrow * rows * length * number
