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
