"""How Sphinx makes the site and the manual pages of these files: `make docs`, `make man`."""

import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent

project = "DevFS"
author = "the DevFS authors"
copyright = author
version = release = re.search(
    r'DEVFS_VERSION\s+"(.*)"', (root / "kmod/version.h").read_text())[1]

# The Python package is described by its own docstrings.
sys.path.insert(0, str(root / "python/src"))
sys.dont_write_bytecode = True

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.graphviz"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "inherited-members": "OSError,list,tuple"}
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# `--option` is two hyphens.
smartquotes = False
language = "en"
suppress_warnings = ["myst.header"]

html_theme = "alabaster"
html_theme_options = {
    "description": "A device's DMA buffers as files",
    "fixed_sidebar": True,
    "page_width": "1080px",
}
html_sidebars = {"**": ["about.html", "searchbox.html", "navigation.html"]}
html_copy_source = False
html_show_sphinx = False
graphviz_output_format = "svg"

man_show_urls = True


def described(page):
    """The entry of one page: its first line is `# NAME(SECTION): WHAT IT IS`."""
    title = (root / f"docs/{page}.md").read_text().splitlines()[0]
    name, section, what = re.fullmatch(r"# ([\w.-]+)\((\d)\): (.*)", title).groups()
    return page, name, what, "", section


man_pages = [
    described(f"man/{path.stem}") for path in sorted((root / "docs/man").glob("*.[0-9].md"))]


def make_links_fit(app, name, source):
    """SECURITY.md and its like stand beside docs/ for readers of the sources, and in it as links."""
    up = "../" * name.count("/")
    text = re.sub(rf"\]\(\.\./{up}([A-Z]+\.md)", rf"]({up}\1", source[0])
    source[0] = re.sub(r"\]\(docs/", "](", text)


def polish(app, exception):
    """What groff and mandoc would warn of, and words like `/dev/devfs` broken at a hyphen."""
    if exception or app.builder.name != "man":
        return
    for page, name, _, _, section in man_pages:
        path = pathlib.Path(app.outdir) / f"{name}.{section}"
        text = re.sub(r"^\.ft .*\n", "", path.read_text(), flags=re.M)
        text = re.sub(r"^(\.S[HS] .*\n)\.sp\n", r"\1", text, flags=re.M)
        path.write_text(re.sub(r"^(\.TH .*\n)", r"\1.nh\n.ad l\n", text, flags=re.M))


def setup(app):
    app.connect("source-read", make_links_fit)
    app.connect("build-finished", polish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
