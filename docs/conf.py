"""Sphinx's settings: `make site` writes site/index.html.

The source directory is the repository's root, and the pages are its Markdown files where they lie. So a link between
two of them is the same link on the site as where the repository is read, and a link to any other file (a recipe, an
example, a source) gives that file itself. Three things are added here: the contents beside every page, which are the
headings and links of docs/index.md, site/index.html, which is README.md, and room for a table's sentences.
"""

import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

import stiefel

ROOT = Path(__file__).parents[1]
LONG, LONGER = 20, 70  # letters of a cell; static/site.css gives them room
NAME = 24  # letters of a name in it, which is not broken

project, author = "Stiefel", "The Stiefel authors"
project_copyright = f"{author}, Apache-2.0"
version = release = stiefel.__version__
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "docs/methods/*.md"]
exclude_patterns = ["[!RCd]*", "demo", "dist"]  # never walked into: environments, tests, what runs have left
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]

myst_heading_anchors = 6  # by the rule of the forges, so that page.md#a-heading is one link in both places
html_theme = "furo"
html_title = f"Stiefel {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

smartquotes = False  # "--resume" and quotes are what is typed
default_role = "code"  # docstrings are plain text with `names` in it
add_module_names = False
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
nitpick_ignore_regex = [("py:.*", ".*")]  # types of torch, transformers and others: no index of theirs is fetched


def contents() -> str:
    """What stands beside every page, from docs/index.md: a heading is a caption, a link is a page."""
    _, *parts = re.split(r"^## ", (ROOT / "docs" / "index.md").read_text(), flags=re.MULTILINE)
    trees = ["```{toctree}\n:hidden:\n\nEvery page <docs/index>\n```\n"]
    for part in parts:
        caption = part.partition("\n")[0]
        pages = "\n".join(
            f"{name} <{page_of(link)}>" for name, link in re.findall(r"^- \[(.+?)\]\((.+?)\)", part, re.M)
        )
        trees.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n")
    return "\n".join(trees)


def page_of(link: str) -> str:
    """../CHANGELOG.md, as docs/index.md names it → /CHANGELOG, as Sphinx does."""
    return "/" + str((Path("docs") / link).with_suffix("")).replace("docs/../", "")


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The pages below README.md and below docs/methods.md."""
    if page == root_doc:
        source[0] += "\n" + contents()
    if page == "docs/methods":
        pages = "\n".join(re.findall(r"\((methods/\w+)\.md\)", source[0]))
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def begin_with_readme(app: Sphinx, error: Exception | None) -> None:
    """README.html once more, under the name that a server and a browser look for."""
    if error is None and app.builder.name == "html":
        shutil.copy(app.outdir / "README.html", app.outdir / "index.html")


def give_room(app: Sphinx, page: nodes.document) -> None:
    """Mark what is long in tables, which a browser otherwise sets a word below the other, and the names in them."""
    for cell in page.findall(nodes.entry):
        letters = len(cell.astext())
        cell["classes"] += ["long"] * (letters > LONG) + ["longer"] * (letters > LONGER)
        for name in cell.findall(nodes.literal):
            name["classes"] += ["name"] * (len(name.astext()) <= NAME)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("doctree-read", give_room)
    app.connect("build-finished", begin_with_readme)
