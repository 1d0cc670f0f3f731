"""What training did to the weights: a run, an adapter or a full checkpoint against its base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ..adapter import CONFIG_FILE
from ..artifacts import ADAPTER, CERTIFICATE, GEOMETRY, MANIFEST, RUNS, read_json, require_directory
from ..errors import UserError, require_number
from ..methods import Layer, find_method, require_rank
from ..model import Checkpoint, Target, build_skeleton, model_files
from ..quiet import quiet
from ..spectrum import SpectrumCache
from .basis import all_small
from .full import FullSubject
from .layer import ALSO, LayerGeometry, check_also, measure
from .lora import AnyAdapter, LoraSubject, read_config
from .native import SUBJECTS
from .own_weights import OwnWeightsSubject
from .reading import reading
from .subject import Subject, Vector

# what a table and a summary take the mean of
FIGURES = (
    *(
        "relative",
        "nss",
        "s_head",
        "s_head_left",
        "s_head_right",
        "s_head_joint",
        "s_head_product",
        "s_tail",
        "s_head_chance",
    ),
    *("stable_rank", "effective_rank", "similarity_top", "similarity_bottom", "orthonormality_error", "start_norm"),
    *("bf16_changed", "bf16_rounding"),
)
GROUPS = ("spectrum", "masks")  # figures under a common name


@dataclass(frozen=True)
class Inspection:
    """The figures of every matrix, their means, and what they say."""

    subject: str  # the directory
    base: str
    method: str
    rank: int | None
    layers: tuple[LayerGeometry, ...]
    vectors: tuple[Vector, ...]  # the other parameters, of a full checkpoint
    left_out: tuple[str, ...]  # tensors of an adapter that are no factors of a matrix
    named_base: str = ""  # another model, which the adapter says that it belongs to

    @property
    def summary(self) -> dict[str, Any]:
        """Means over the matrices, each over those that have the figure; totals; the same by kind and by depth."""
        kinds = dict.fromkeys(layer.kind for layer in self.layers)
        depths = sorted({layer.depth for layer in self.layers if layer.depth is not None})
        return {
            "subject": self.subject,
            "base": self.base,
            "named_base": self.named_base,
            "method": self.method,
            "rank": self.rank,
            "matrices": len(self.layers),
            "changed": sum(layer.delta_norm > 0 for layer in self.layers),
            **means(self.layers),
            "by_kind": {kind: means([one for one in self.layers if one.kind == kind]) for kind in kinds},
            "by_depth": {str(depth): means([one for one in self.layers if one.depth == depth]) for depth in depths},
            "vectors": [asdict(vector) for vector in self.vectors],
            "left_out": list(self.left_out),
            "reading": self.reading,
        }

    @property
    def reading(self) -> list[str]:
        """What the figures say, in sentences."""
        lines = reading(self.layers, self.left_out, self.vectors)
        if self.named_base:
            lines.append(
                f"The adapter names {self.named_base} as its base, and is measured against {self.base}: shapes "
                "alone were compared."
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """The content of `--json`."""
        return {"summary": self.summary, "layers": [asdict(layer) for layer in self.layers]}


def inspect(
    subject: str | Path,
    base: str,
    *,
    rank: int | None = None,
    also: tuple[str, ...] = (),
    cache: bool = True,
    revision: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> Inspection:
    """Measure ΔW of a run, an adapter (Stiefel's, or any LoRA of PEFT's) or a full checkpoint against `base`.

    `base` is nano, a directory or a hub id. Leading and trailing directions are counted at the method's rank, of full
    weights at 16, or at `rank`. `also` asks for figures that cost more than `init` does, "tail", "spectrum", "masks";
    a model whose matrices all have min(m, n) ≤ 512 gets them unasked. One matrix is in memory at a time; singular
    directions come from the cache that `init` fills. Raises UserError for what is no such directory, has no ΔW per
    matrix, or belongs to another base.
    """
    check_also(also)
    if rank is not None:
        require_number("rank", rank, lambda value: value >= 1, "at least 1", whole=True)
    trained = open_subject(Path(subject))
    directory = model_files(base, revision)
    quiet()
    skeleton = build_skeleton(directory)
    targets = trained.targets(skeleton)
    checkpoint = Checkpoint(directory, skeleton)
    checkpoint.require(targets)
    if rank is not None:
        for target in targets:
            require_rank(target.name, target.shape, rank)
    wanted = ALSO if all_small(target.shape for target in targets) else also
    store = SpectrumCache() if cache else None
    layers = []
    for number, target in enumerate(targets, start=1):
        if progress is not None:
            progress(target.name, number, len(targets))
        k = min(rank or trained.rank_of(target), *target.shape)
        layers.append(inspect_one(checkpoint, target, trained, k, wanted, store))
    return Inspection(
        subject=str(subject),
        base=base,
        method=trained.title,
        rank=rank or trained.rank,
        layers=tuple(layers),
        vectors=tuple(trained.vectors(checkpoint)),
        left_out=trained.left_out,
        named_base="" if Path(trained.base).name in (directory.name, Path(base).name, "") else trained.base,
    )


def inspect_one(
    checkpoint: Checkpoint,
    target: Target,
    trained: Subject,
    k: int,
    wanted: tuple[str, ...],
    store: SpectrumCache | None,
) -> LayerGeometry:
    """One matrix; everything of its size is free again when it returns."""
    options = find_method("geora").resolve_options({})  # of the masks
    layer = Layer(target.name, checkpoint.read(target), k, 1.0, 0, options, cache=store)
    return measure(layer, trained.read(target, layer), wanted)


def open_subject(path: Path) -> Subject:
    """What a directory is; a run stands for the adapter that it ended with, a checkpoint of one for its own."""
    instead = "give a run, an adapter directory, or a checkpoint that save_pretrained wrote"
    require_directory(path, instead)
    if (path / CONFIG_FILE).is_file():
        kind = read_config(path, AnyAdapter).peft_type
        return SUBJECTS[kind](path) if kind in SUBJECTS else LoraSubject(path)
    if (path / CERTIFICATE).is_file():
        return OwnWeightsSubject(path)
    if (path / "config.json").is_file():
        return FullSubject(path)
    if (path / ADAPTER).is_dir():
        return open_subject(path / ADAPTER)
    if (path / MANIFEST).is_file():
        raise unfinished(path)
    if (path / RUNS).is_dir():
        raise UserError(
            f"{path} is a comparison",
            "one run is inspected at a time",
            f"give one of its runs, {path / RUNS}/…",
        )
    raise UserError(
        f"{path} is nothing to inspect",
        f"it holds neither {CONFIG_FILE} nor config.json nor {ADAPTER}/",
        instead,
    )


def unfinished(run: Path) -> UserError:
    """The error of a run that has not left an adapter, by what became of it."""
    manifest = read_json(run / MANIFEST)
    if isinstance(manifest, dict) and manifest.get("status") == "diverged":
        return UserError(
            f"{run} holds no {ADAPTER}",
            f"the run ended before its time: {manifest.get('reason', 'it diverged')}",
            f"train at a smaller optim.lr; the run's {GEOMETRY} (run.geometry_every) has what was measured on the way",
        )
    return UserError(
        f"{run} holds no {ADAPTER} yet",
        "a run writes it when it ends",
        "let the run finish (`stiefel train … --resume`), or inspect another directory",
    )


def means(layers: Sequence[LayerGeometry]) -> dict[str, Any]:
    """‖ΔW‖_F of all together, and the mean of each figure over the matrices that have it."""
    found: dict[str, Any] = {"delta_norm": sum(layer.delta_norm**2 for layer in layers) ** 0.5}
    for figure in FIGURES:
        values = [value for layer in layers if (value := vars(layer)[figure]) is not None]
        found[figure] = fmean(values) if values else None
    return {**found, **{group: group_means([vars(layer)[group] for layer in layers]) for group in GROUPS}}


def group_means(groups: Sequence[dict[str, float] | None]) -> dict[str, float] | None:
    """The mean of each figure of a group over the matrices that have it."""
    have = [group for group in groups if group is not None]
    names = dict.fromkeys(name for group in have for name in group)
    return {name: fmean(group[name] for group in have if name in group) for name in names} or None
