"""A checkpoint on disk as the matrices of a model, read one at a time: the model itself is never in memory.

The names in the files are not always the model's: transformers renames, and for some architectures cuts or joins
tensors, when it loads. Its own table of these changes is applied here, one matrix at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

from ..artifacts import read_json
from ..errors import UserError
from .targets import Target
from .tensorfile import Entry, broken_tensors, read_header, read_tensor

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


@dataclass
class Source:
    """Where a model's parameter comes from: one tensor as it is, or several that transformers converts."""

    keys: list[tuple[str, str]] = field(default_factory=list)  # (the converter's pattern, name in the files)
    converter: WeightConverter | None = None
    first: str = ""  # the parameter that a converter with several results is known by


class Checkpoint:
    """The weights of a directory, by the names of a skeleton's parameters; construction reads headers alone.

    Raises UserError for files that are missing, broken or quantised, or that hold pickles only.
    """

    def __init__(self, directory: Path, skeleton: PreTrainedModel) -> None:
        self.directory, self.skeleton = directory, skeleton
        refuse_config(directory)
        self.entries = read_headers(directory)
        self.sources = find_sources(skeleton, self.entries)
        self.tied = tied_names(skeleton)

    def require(self, targets: Iterable[Target]) -> None:
        """Raise UserError unless every target can be read; reads nothing."""
        for target in targets:
            weight = self._parameter(target.parameter, on_meta)
            shape = (target.shape[1], target.shape[0]) if target.conv1d else target.shape
            if weight.shape != shape:
                raise UserError(
                    f"{self.directory}: {target.parameter} has the shape {tuple(weight.shape)} in the files",
                    f"config.json describes a model in which it is {shape}",
                    "check that config.json and the weights belong together",
                )

    def read(self, target: Target) -> Tensor:
        """W (out, in) of a target in the files' type; a Conv1D's is a transposed view of what is read.

        Cost: one read of its bytes into one allocation of its size. Where it is cut out of a larger tensor or joined of
        several, these are read too, and memory is at most twice their size for the time of the call.
        """
        weight = self._parameter(target.parameter, read_tensor)
        return weight.T if target.conv1d else weight

    def read_parameter(self, name: str) -> Tensor:
        """Any parameter by the model's name, in the files' type and as it is stored."""
        return self._parameter(name, read_tensor)

    def _parameter(self, name: str, tensor_of: Callable[[Entry], Tensor]) -> Tensor:
        if name not in self.sources:
            name = self.tied.get(name, name)
        if name not in self.sources:
            raise UserError(
                f"{self.directory}: no file holds {name}",
                "without it the model would start from random numbers there",
                "check that all weight files are there and belong to this config.json",
            )
        source = self.sources[name]
        if source.converter is None:
            return tensor_of(self.entries[source.keys[0][1]])
        converter: Any = deepcopy(source.converter)  # it keeps what it is given
        for pattern, key in source.keys:
            converter.add_tensor(source.first, key, pattern, partial(tensor_of, self.entries[key]))
        try:
            found = converter.convert(source.first, model=self.skeleton, config=self.skeleton.config)[name]
        except (ValueError, RuntimeError, LookupError) as error:
            raise UserError(
                f"{self.directory}: {name} cannot be made of {', '.join(key for _, key in source.keys)}",
                f"transformers' conversion failed: {type(error).__name__} {error}",
                "load the model in memory and use stiefel.attach",
            ) from error
        weight = found[0] if isinstance(found, list) else found
        assert isinstance(weight, Tensor)
        return weight


def tied_names(skeleton: PreTrainedModel) -> dict[str, str]:
    """The further names of shared parameters, as a tied output head's, and the one that files hold them under."""
    first = {id(parameter): name for name, parameter in skeleton.named_parameters()}
    every = skeleton.named_parameters(remove_duplicate=False)
    return {name: first[id(parameter)] for name, parameter in every if first[id(parameter)] != name}


def on_meta(entry: Entry) -> Tensor:
    """A tensor's type and shape without its numbers."""
    return torch.empty(entry.shape, dtype=entry.torch_dtype(), device="meta")


def refuse_config(directory: Path) -> None:
    """Raise for what config.json says of its weights that plain tensors by name do not."""
    config = read_json(directory / "config.json")
    text = config.get("text_config") or {}
    quantised = config.get("quantization_config") or text.get("quantization_config")
    if quantised:
        raise UserError(
            f"{directory} is quantised: {quantised}"[:200],
            "its stored numbers are not the weight matrices that the methods decompose",
            "give the checkpoint that it was made from",
        )
    if config.get("transformers_weights"):
        raise UserError(
            f"{directory} keeps its weights in {config['transformers_weights']}",
            f"only {SINGLE} and {INDEX} are read",
            "load the model in memory and use stiefel.attach, or save it again with save_pretrained",
        )


def read_headers(directory: Path) -> dict[str, Entry]:
    """Every tensor of a directory's weight files; the single file goes before the index, as in transformers."""
    if (directory / SINGLE).is_file():
        return read_header(directory / SINGLE)
    if not (directory / INDEX).is_file():
        pickles = sorted(path.name for path in directory.glob("*.bin"))
        raise UserError(
            f"{directory} holds no {SINGLE} and no {INDEX}",
            f"{pickles[0]} is a pickle, which can run code when it is read, so it never is"
            if pickles
            else "there are no weights to read",
            "load and save it once with save_pretrained, which writes safetensors"
            if pickles
            else "give the directory that save_pretrained wrote",
        )
    return read_shards(directory)


def read_shards(directory: Path) -> dict[str, Entry]:
    """The tensors of every file that the index names, each of them where the index says."""
    index = read_json(directory / INDEX)
    match index:
        case {"weight_map": dict(places)} if all(isinstance(shard, str) for shard in places.values()):
            pass
        case _:
            raise UserError(
                f"{directory / INDEX} is not an index", "it has no weight_map of names to files", "download it again"
            )
    entries: dict[str, Entry] = {}
    for shard in sorted(set(places.values())):
        path = directory / shard
        if Path(shard).name != shard or path.suffix != ".safetensors":
            raise UserError(
                f"{directory / INDEX} names {shard!r}", "only safetensors files beside the index are read", "mend it"
            )
        if not path.is_file():
            raise UserError(f"{path} is missing", f"{INDEX} names it as a part of the weights", "download it again")
        header = read_header(path)
        lost = [name for name, place in places.items() if place == shard and name not in header]
        if lost:
            raise broken_tensors(path, f"it does not hold {lost[0]}, which {INDEX} says it does")
        entries |= {name: entry for name, entry in header.items() if places.get(name, shard) == shard}
    return entries


def find_sources(skeleton: PreTrainedModel, keys: Iterable[str]) -> dict[str, Source]:
    """The model's parameters that the files' tensors make: the loop of transformers' loader, without the loading."""
    transforms = get_model_conversion_mapping(skeleton)
    renamings = [transform for transform in transforms if isinstance(transform, WeightRenaming)]
    converters = [transform for transform in transforms if isinstance(transform, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    prefix, state = skeleton.base_model_prefix, skeleton.state_dict()
    sources: dict[str, Source] = {}
    for key in sorted(keys, key=dot_natural_key):  # the order in which a converter must be given its tensors
        name, pattern = rename_source_key(key, renamings, converters, prefix, state)
        if name not in state and key in state:  # it has the model's name already
            name, pattern = rename_source_key(key, [], [], prefix, state)
        if name not in state:
            continue  # a parameter that this class of model does not have
        if pattern is None:
            sources.setdefault(name, Source([(key, key)]))
            continue
        converter = by_pattern[pattern]
        first, *others = converter.target_patterns
        source = sources.setdefault(name, Source([], converter, name))
        source.keys.append((pattern, key))
        for other in others:
            sources[name.replace(first, other, 1)] = source
    return sources
