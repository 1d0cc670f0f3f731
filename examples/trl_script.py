"""GRPO with plain TRL, but for the two lines that name Stiefel. Run: python examples/trl_script.py OUT [STEPS]"""

import random
import sys

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig

from stiefel import GRPOTrainer, attach  # instead of TRL's GRPOTrainer
from stiefel.nano import NANO_PATH as MODEL  # or any causal language model: its name or its directory

OUT, STEPS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
torch.set_num_threads(1)  # nano's matrices are too small to share; leave this out with a model that is not


def right(completions: list[str], answer: list[str], **columns: object) -> list[float]:
    """1 where the text after the last ">" is the answer."""
    return [float(text.rpartition(">")[2] == gold) for text, gold in zip(completions, answer, strict=True)]


numbers = random.Random(0)
pairs = [(numbers.randint(1, 49), numbers.randint(1, 49)) for _ in range(512)]
rows = Dataset.from_list([{"prompt": f"{a}+{b}?", "answer": str(a + b)} for a, b in pairs])
tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype="float32")
model = attach(model, "rlpo", r=8, alpha=16)  # instead of peft_config=LoraConfig(...)
sizes = {"per_device_train_batch_size": 32, "num_generations": 8, "max_completion_length": 32, "max_steps": STEPS}
plain = {"bf16": False, "activation_checkpointing": False, "save_strategy": "no", "report_to": []}
args = GRPOConfig(OUT, learning_rate=3e-4, **sizes, **plain)
trainer = GRPOTrainer(model, right, args, rows, processing_class=tokenizer)
trainer.train()
trainer.save_model(OUT)
