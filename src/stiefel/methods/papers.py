"""The papers that methods come from, and their BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One arXiv paper."""

    key: str
    arxiv: str
    title: str
    authors: tuple[str, ...]
    year: int

    @property
    def reference(self) -> str:
        """How tables name it: arXiv:NUMBER."""
        return f"arXiv:{self.arxiv}"

    def bibtex(self) -> str:
        """The entry that `stiefel cite` prints."""
        return (
            f"@misc{{{self.key},\n"
            f"  title = {{{self.title}}},\n"
            f"  author = {{{' and '.join(self.authors)}}},\n"
            f"  year = {{{self.year}}},\n"
            f"  eprint = {{{self.arxiv}}},\n"
            f"  archivePrefix = {{arXiv}},\n"
            f"}}"
        )


LORA = Paper(
    key="hu2021lora",
    arxiv="2106.09685",
    title="LoRA: Low-Rank Adaptation of Large Language Models",
    authors=(
        "Edward J. Hu",
        "Yelong Shen",
        "Phillip Wallis",
        "Zeyuan Allen-Zhu",
        "Yuanzhi Li",
        "Shean Wang",
        "Lu Wang",
        "Weizhu Chen",
    ),
    year=2021,
)
PISSA = Paper(
    key="meng2024pissa",
    arxiv="2404.02948",
    title="PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language Models",
    authors=("Fanxu Meng", "Zhaohui Wang", "Muhan Zhang"),
    year=2024,
)
MILORA = Paper(
    key="wang2024milora",
    arxiv="2406.09044",
    title="MiLoRA: Harnessing Minor Singular Components for Parameter-Efficient LLM Finetuning",
    authors=("Hanqing Wang", "Yixia Li", "Shuo Wang", "Guanhua Chen", "Yun Chen"),
    year=2024,
)
RLPO = Paper(
    key="zhang2026geometry",
    arxiv="2606.31813",
    title="Geometry-Preserving Orthonormal Initialization for Low-Rank Adaptation in RLVR",
    authors=("Ruijia Zhang", "Jiacheng Zhu", "Andy Su", "Hanqing Zhu", "Laixi Shi"),
    year=2026,
)
GEORA = Paper(
    key="zhang2026geora",
    arxiv="2601.09361",
    title="GeoRA: Geometry-Aware Low-Rank Adaptation for RLVR",
    authors=("Jiaying Zhang", "Lei Shi", "Jiguo Li", "Jun Xu", "Jiuchong Gao", "Jinghua Hao", "Renqing He"),
    year=2026,
)
RSLORA = Paper(
    key="kalajdzievski2023rslora",
    arxiv="2312.03732",
    title="A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA",
    authors=("Damjan Kalajdzievski",),
    year=2023,
)
DORA = Paper(
    key="liu2024dora",
    arxiv="2402.09353",
    title="DoRA: Weight-Decomposed Low-Rank Adaptation",
    authors=(
        "Shih-Yang Liu",
        "Chien-Yi Wang",
        "Hongxu Yin",
        "Pavlo Molchanov",
        "Yu-Chiang Frank Wang",
        "Kwang-Ting Cheng",
        "Min-Hung Chen",
    ),
    year=2024,
)
LORA_PLUS = Paper(
    key="hayou2024loraplus",
    arxiv="2402.12354",
    title="LoRA+: Efficient Low Rank Adaptation of Large Models",
    authors=(
        "Soufiane Hayou",
        "Nikhil Ghosh",
        "Bin Yu",
    ),
    year=2024,
)
LORA_FA = Paper(
    key="zhang2023lorafa",
    arxiv="2308.03303",
    title="LoRA-FA: Memory-efficient Low-rank Adaptation for Large Language Models Fine-tuning",
    authors=(
        "Longteng Zhang",
        "Lin Zhang",
        "Shaohuai Shi",
        "Xiaowen Chu",
        "Bo Li",
    ),
    year=2023,
)
ADALORA = Paper(
    key="zhang2023adalora",
    arxiv="2303.10512",
    title="AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
    authors=(
        "Qingru Zhang",
        "Minshuo Chen",
        "Alexander Bukharin",
        "Nikos Karampatziakis",
        "Pengcheng He",
        "Yu Cheng",
        "Weizhu Chen",
        "Tuo Zhao",
    ),
    year=2023,
)
MISS = Paper(
    key="kang2024miss",
    arxiv="2409.15371",
    title="MiSS: Revisiting the Trade-off in LoRA with an Efficient Shard-Sharing Structure",
    authors=(
        "Jiale Kang",
        "Qingyu Yin",
    ),
    year=2024,
)
VERA = Paper(
    key="kopiczko2023vera",
    arxiv="2310.11454",
    title="VeRA: Vector-based Random Matrix Adaptation",
    authors=(
        "Dawid J. Kopiczko",
        "Tijmen Blankevoort",
        "Yuki M. Asano",
    ),
    year=2023,
)
IA3 = Paper(
    key="liu2022ia3",
    arxiv="2205.05638",
    title="Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
    authors=(
        "Haokun Liu",
        "Derek Tam",
        "Mohammed Muqeeth",
        "Jay Mohta",
        "Tenghao Huang",
        "Mohit Bansal",
        "Colin Raffel",
    ),
    year=2022,
)
LN_TUNING = Paper(
    key="zhao2023lntuning",
    arxiv="2312.11420",
    title="Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
    authors=(
        "Bingchen Zhao",
        "Haoqin Tu",
        "Chen Wei",
        "Jieru Mei",
        "Cihang Xie",
    ),
    year=2023,
)
PEFT_FOR_RLVR = Paper(
    key="yin2025evaluating",
    arxiv="2512.23165",
    title="Evaluating Parameter Efficient Methods for RLVR",
    authors=(
        "Qingyu Yin",
        "Yulun Wu",
        "Zhennan Shen",
        "Sunbowen Li",
        "Zhilin Wang",
        "Yanshu Li",
        "Chak Tou Leong",
        "Jiale Kang",
        "Jinjin Gu",
    ),
    year=2025,
)
