"""The tables of a recipe: every key with its type, its default and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .expected import Published, check_metric, check_scores, published_scores

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
NotNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class ModelSettings(Section):
    """[model]"""

    path: Annotated[str, Field(min_length=1)] = "nano"
    """Hub id, local directory, or nano."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the frozen weights; the trained factors are float32 always."""
    compute: Literal["float32", "bfloat16"] = "float32"
    """Type of the products in training, rollouts and measurements; bfloat16 is torch's autocast."""
    attention: Literal["", "sdpa", "eager", "flash_attention_2", "flash_attention_3"] = ""
    """How attention is computed; empty: as transformers chooses, sdpa where the model has it."""
    revision: str = ""
    """Branch, tag or commit of a hub id."""
    turn_ends: list[Annotated[str, Field(min_length=1)]] = []
    """Tokens that end an answer, beside those of the chat template, the tokenizer and generation_config.json."""
    chat_template_options: dict[str, bool | int | FiniteFloat | str] = {}
    """Settings that the chat template reads."""


class AdapterSettings(Section):
    """[adapter]"""

    method: str = "rlpo"
    """One of `stiefel methods`, or a start with a structure and an optimizer: rlpo+dora, random_orthonormal+lora_fa."""
    path: str = ""
    """An adapter directory to start from; method, rank, alpha and targets are then its own."""
    rank: Positive = 8
    """The rank r of A and B: how many directions of a matrix its change may have."""
    alpha: Positive = 16
    """The adapter is scaled by s = alpha/r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    dropout_on: Literal["delta", "factors"] = "delta"
    """An anchored adapter drops of the change, so that training starts at the base, or of A and B, as published."""
    targets: str | list[str] = "all-linear"
    """all-linear, a list of module names, or a regular expression."""
    options: dict[str, str | float] = {}
    """The method's own options."""


class MixtureEntry(Section):
    """[[task.mixture]]"""

    name: Annotated[str, Field(min_length=1)]
    """A task of reasoning-gym, reasoning_gym:NAME."""
    weight: NotNegativeFloat = 1.0
    """How often its rows are drawn, against the other weights."""
    options: dict[str, Any] = {}
    """Options of its data set."""


class TaskSettings(Section):
    """[task]"""

    name: str = "nano-arithmetic"
    """What is trained; with `data`, what the rows are called."""
    data: str = ""
    """Rows: a file or a hub id; of your own, or of the named task's columns; empty takes the named task's."""
    split: str = "train"
    """The split of a hub data set."""
    revision: str = ""
    """Branch, tag or commit of a hub data set."""
    prompt_column: str = "prompt"
    """The column of `data` that holds the prompt, a text or a list of chat messages."""
    answer_column: str = "answer"
    """The column of `data` that holds the reference answer."""
    chat: bool = False
    """Show a text prompt of `data`, or a question of reasoning-gym, as a user's message, through the chat template."""
    reward: str = ""
    """math, gsm8k, dapo, dapo-boxed, choice, code, exact, or module:function; empty takes the named task's grader."""
    train_rows: NotNegative = 0
    """Use only the first rows of the training set; 0 takes all."""
    heldout: str = ""
    """Rows of the same columns, a file or a hub id, on which `eval.tasks` measures this task."""
    options: dict[str, Any] = {}
    """reasoning_gym:NAME only: options of its data set."""
    partial_credit: bool = False
    """reasoning_gym:NAME only: train on the scorer's fraction of an answer that is not whole."""
    mixture: list[MixtureEntry] = []
    """Tasks of reasoning-gym in place of name and options, each with `name`, `weight` and `options`."""


class AlgorithmSettings(Section):
    """[algorithm]: the defaults depend on the name, those of dapo are shown."""

    name: Literal["dapo", "grpo", "dr_grpo", "sft"] = "dapo"
    """Loss: DAPO, GRPO, Dr. GRPO, or supervised fine-tuning on the reference answers."""
    beta: NotNegativeFloat = 0.0
    """Weight of the KL to the reference policy in the loss."""
    reference: Literal["base", "start"] = "base"
    """What beta's KL, kl_base and kl_cap_total's KL are to: the base model, or the adapter that adapter.path names."""
    clip_low: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The ratio is clipped below at 1 − clip_low."""
    clip_high: PositiveFloat = 0.28
    """The ratio is clipped above at 1 + clip_high."""
    dual_clip: NotNegativeFloat = 10.0
    """Bound, at least 1 + clip_high, on the ratio where the advantage is negative; 0 sets none."""
    entropy: NotNegativeFloat = 0.0
    """Weight of the entropy bonus."""
    dynamic_sampling: bool = False
    """Replace groups that are all correct or all wrong by fresh prompts."""
    max_gen_batches: Positive = 10
    """Batches that dynamic sampling generates for one rollout at most."""
    overlong_buffer: NotNegative = 0
    """Tokens before the limit over which the overlong penalty grows from 0 to overlong_penalty; 0 is off."""
    overlong_penalty: NotNegativeFloat = 1.0
    """The penalty at the limit, of a reward that is ±1 (as in verl) once overlong_buffer is set."""
    epochs: Positive = 1
    """Passes over the data; sft only."""
    batch: Positive = 8
    """Sequences an optimizer step; sft only."""


class RolloutSettings(Section):
    """[rollout]"""

    engine: Literal["hf", "vllm"] = "hf"
    """What generates the completions."""
    prompts: Positive = 8
    """Prompts a rollout."""
    completions: Annotated[int, Field(ge=2)] = 8
    """Completions a prompt: the group whose rewards are compared."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature; the loss uses the same."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus; 1 keeps all tokens."""
    top_k: NotNegative = 0
    """0 keeps all tokens."""
    max_prompt_tokens: NotNegative = 0
    """The longest prompt; 0: as long as the rows' longest, within the model's context less the completion."""
    truncate: Literal["error", "left", "drop"] = "error"
    """A longer prompt is an error, loses its first tokens, or is left out."""
    max_completion_tokens: Positive = 64
    """Completions are cut off here; the default is of the embedded model's tasks, others may need thousands."""
    share_prompts: bool = False
    """Compute a prompt once for all its completions: quicker where prompts are longer than answers."""
    vllm_mode: Literal["colocate", "server"] = "colocate"
    """vllm only: in the training process, or a server that `vllm serve` started."""
    vllm_server: str = "http://127.0.0.1:8000"
    """vllm only: the server's address."""
    vllm_memory: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """vllm only: share of the GPU's memory that colocated vLLM takes."""
    vllm_tensor_parallel: Positive = 1
    """vllm only: GPUs a model is split over."""
    sync: Literal["", "factors", "merged"] = ""
    """vllm only: what the engine is sent, the adapter's factors or every weight merged; empty: factors where it can."""
    importance_correction: Literal["off", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = "off"
    """vllm only: TRL's correction for the difference between the engine's and the trainer's probabilities."""
    importance_cap: PositiveFloat = 3.0
    """vllm only: where that correction truncates or masks."""


class OptimSettings(Section):
    """[optim]"""

    lr: NotNegativeFloat = 3e-4
    """Learning rate; 0 is a valid rate, which measures without training."""
    schedule: Literal["constant", "cosine"] = "constant"
    """How the rate goes, counted in rollouts (in updates for sft)."""
    rollouts: Positive = 60
    """Length of the run."""
    updates_per_rollout: Positive = 2
    """Mini-batches a rollout is split into; each is one optimizer step."""
    micro_batch: NotNegative = 0
    """Sequences a process works on at once, the gradient summed over a mini-batch; 0 takes a mini-batch whole."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass in place of keeping them: less memory, a forward pass more."""
    weight_decay: NotNegativeFloat = 0.1
    """AdamW's decoupled decay."""
    weight_decay_on: Literal["delta", "factors"] = "delta"
    """Decay the change from the start (towards the base), or A and B themselves as published."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    warmup_rollouts: NotNegative = 0
    """Linear warm-up."""
    kl_cap: NotNegativeFloat = 0.0
    """Most that a rollout's updates may cost in KL, nats a token; a dearer update is shortened; 0 sets no bound."""
    kl_cap_rows: str = ""
    """A file of text, or of prompts and answers, on which an update may not cost more than that either."""
    kl_cap_total: NotNegativeFloat = 0.01
    """On these rows, the most that all updates may cost together, as the KL to the reference; 0 sets no such bound."""


class RunSettings(Section):
    """[run]"""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the start, the prompts and the sampling."""
    save_every: NotNegative = 20
    """Rollouts (updates for sft) between checkpoints, from which `--resume` goes on; 0 keeps none."""
    kl_every: Positive = 10
    """Rollouts between measurements of kl_base and kl_step, which cost a forward pass each."""
    geometry_every: NotNegative = 0
    """Rollouts between rows of geometry.jsonl: where each matrix's change lies in its spectrum; 0 writes none."""
    samples_every: NotNegative = 10
    """Rollouts between those whose completions samples.jsonl keeps, the first and the last always; 0 keeps none."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads; 0 leaves torch's choice. A tiny model is fastest on one."""
    report_to: list[Literal["tensorboard", "wandb", "trackio"]] = []
    """Where the metrics also go."""


class EvalSettings(Section):
    """[eval]"""

    every: NotNegative = 0
    """Rollouts between evaluations during training; 0 measures before and after it only."""
    tasks: list[str] = []
    """Tasks that are measured."""
    sampling: Literal["recipe", "task"] = "recipe"
    """recipe: as the next three keys and rollout.max_completion_tokens say; task: each as it is usually measured."""
    samples: Positive = 1
    """Completions a question; `sampling = "recipe"` only, as the next two."""
    temperature: NotNegativeFloat = 0.6
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Nucleus."""
    limit: Positive = 500
    """Questions a task."""
    validation: NotNegative = 0
    """Questions of the trained task that are kept out of its training rows and measured beside; 0 keeps none."""
    defer: bool = False
    """Leave `tasks` unmeasured until something is chosen by the validation split, as a grid's `rate = "tuned"` does."""


class GuardSettings(Section):
    """[guard]"""

    action: Literal["off", "stop", "restore"] = "off"
    """What happens past a bound or at a value that is not finite: end the run, or go back and halve the rate."""
    kl_base: NotNegativeFloat = 0.0
    """Bound on the KL to the base policy, where it is measured (run.kl_every); 0 sets none."""
    grad_norm: NotNegativeFloat = 0.0
    """Bound on the gradient norm before clipping; 0 sets none."""


class ClusterSettings(Section):
    """[cluster]: read by `stiefel launch`, and `gpus` by grids on Ray and Slurm; nothing else reads it, and says so."""

    nodes: Positive = 1
    """Machines."""
    gpus: NotNegative = 0
    """GPUs of each machine; launch needs 1 or more. On Ray or Slurm each cell of a grid asks for as many."""
    offload: bool = False
    """Keep the base's weights and the optimizer's state in the machines' memory while the GPUs do without them."""
    remove_padding: bool = True
    """Compute on the tokens alone, sequence after sequence; it needs flash attention."""
    dynamic_batch: NotNegative = 0
    """Tokens a GPU works on at once, whatever the number of sequences; 0: optim.micro_batch sequences at once."""


class ExpectedSettings(Section):
    """[expected]: published scores, which reports and `stiefel reproduce` set beside ours; no training reads them."""

    source: str = ""
    """Where the scores come from: a paper's table, or our own run."""
    percent: bool = False
    """The scores are in percent; reports show them as fractions, as ours are."""
    metric: Annotated[str | dict[str, str], AfterValidator(check_metric)] = "avg"
    """What was published: avg (the mean over a question's samples) or pass@k, of all tasks or of each by its name."""
    average_of: list[str] = []
    """The tasks whose mean a method's `average` is."""
    scores: Annotated[dict[str, Any], AfterValidator(check_scores)] = {}
    """Method → task → score or [mean, spread over seeds]; `base` is the model before training."""

    def metric_of(self, task: str) -> str:
        """Avg or pass@k."""
        return self.metric if isinstance(self.metric, str) else self.metric.get(task, "avg")

    def of(self, method: str) -> dict[str, Published]:
        """Task → what was published of a method, as fractions."""
        return published_scores(self.scores, method, percent=self.percent)
