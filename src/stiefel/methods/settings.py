"""What a method was given: its own options, and the settings of every adapter told from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import UserError, closest, plainly
from .option import Option, Value


@dataclass(frozen=True)
class Setting:
    """What every adapter has, and no method: its keyword in `attach`, and where else it is said."""

    keyword: str
    flag: str  # of `stiefel init`; empty where it has none
    key: str  # of a recipe

    def shown(self, value: Value) -> str:
        """How that value is given, in each place."""
        keyword = f"{self.keyword}={value if str(value).isdigit() else repr(value)} in stiefel.attach"
        flag = f"; {self.flag} {value} of stiefel init" if self.flag else ""
        return f"{keyword}{flag}; {self.key} in a recipe"


RANK = Setting("r", "--rank", "adapter.rank")
ALPHA = Setting("alpha", "--alpha", "adapter.alpha")
DROPOUT = Setting("dropout", "", "adapter.dropout")
TARGETS = Setting("target_modules", "--targets", "adapter.targets")
# by the names that they have here and in other libraries
SETTING_OF = {
    **dict.fromkeys(("rank", "r", "lora_r", "lora_rank"), RANK),
    **dict.fromkeys(("alpha", "lora_alpha"), ALPHA),
    **dict.fromkeys(("dropout", "lora_dropout"), DROPOUT),
    **dict.fromkeys(("targets", "target_modules", "target"), TARGETS),
    "seed": Setting("seed", "--seed", "run.seed"),
}


def resolve(method: str, options: Mapping[str, Option], given: Mapping[str, Value]) -> dict[str, Value]:
    """Every option's value; an unknown name or value raises."""
    for name, value in given.items():
        if name not in options:
            raise no_option(method, options, name, value)
    return {name: option.parse(given.get(name, option.default), name) for name, option in options.items()}


def no_option(method: str, options: Mapping[str, Option], name: str, value: Value) -> UserError:
    """The error of a name that is no option: a setting of every adapter, whatever the case, or a mistyped one."""
    same = [known for known in SETTING_OF if plainly(known) == plainly(name)]
    if same and not any(plainly(option) == plainly(name) for option in options):
        setting = SETTING_OF[same[0]]
        return UserError(
            f"{name} is no option of method {method}",
            f"it is a setting of every adapter, which `attach` calls {setting.keyword}; options are the method's own",
            setting.shown(value),
        )
    takes = f"{method} takes {', '.join(options) or 'no options'}"
    close = closest(name, {*options, *SETTING_OF})
    return UserError(
        f"method {method} has no option {name!r}",
        "an option that is not used would be dropped in silence",
        f"did you mean {' or '.join(close)}?" if close else f"{takes}: leave {name} out",
    )
