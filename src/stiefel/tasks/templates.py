"""What several tasks ask with, and how they are sampled."""

from __future__ import annotations

from .task import Sampling

# DeepSeek-R1's and Qwen's own advice for mathematics; the answer stands in a box after any <think>…</think>
BOXED = "{question}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
# DAPO (arXiv:2503.14476): the prompts of DAPO-Math-17k and of its AIME evaluation are written so
ANSWER_LINE = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n"
    "{question}\n\n"
    'Remember to put your answer on its own line after "Answer:".'
)

# Table 3 of the RLPO/RLMO paper
GREEDY_4096 = Sampling(samples=1, temperature=0.0, top_p=1.0, max_tokens=4096)
FOUR_8192 = Sampling(samples=4, temperature=0.6, top_p=0.95, max_tokens=8192)
THIRTY_TWO_16384 = Sampling(samples=32, temperature=0.6, top_p=0.95, max_tokens=16_384)

TABLE_3 = "sampling: RLPO/RLMO paper, Table 3"
OURS = "sampling: ours, no paper gives one"
