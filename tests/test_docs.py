"""The pages: every link leads somewhere, each job has a page, and what it says of settings is true of that job."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from fashion.setting_types import check_names, types_of

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "cluster").rglob("*.md")]
JOBS = sorted(file.stem for file in (ROOT / "jobs").glob("*.py") if "def job(" in file.read_text())
OF_EVERY_JOB = {"config", "help", "debug", "print_config"}
OTHERS = {"working-dir", "pid", "side"}  # of ray job submit, py-spy and a benchmark


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The page's links to files and headings that are not there."""
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL))
    wrong = []
    for link in links:
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


def settings_of(job: str) -> type:
    return next(
        value
        for name, value in vars(import_module(f"jobs.{job}")).items()
        if name.endswith("Settings") and isinstance(value, type)
    )


def flags(text: str) -> set[str]:
    """The settings that a page names by their flags."""
    return set(re.findall(r"(?<![\w-])--([a-z][\w.-]*\w)", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    assert not broken(page)


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# A heading, here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Own\n[a](other.md) [b](other.md#a-heading-here) [c](#own) [d](none.md) [e](other.md#no) `[f](x)`"
    )
    assert broken(page) == ["none.md", "other.md#no"]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_has_a_page_that_the_readme_and_the_jobs_page_lead_to(job):
    assert f"    python jobs/{job}.py --" in (ROOT / f"docs/{job}.md").read_text()
    assert f"(docs/{job}.md)" in (ROOT / "README.md").read_text()
    assert f"({job}.md)" in (ROOT / "docs/jobs.md").read_text()


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in (*JOBS, "jobs", "manifest", "mining"))])
def test_commands_name_settings_of_their_job_and_texts_those_of_a_job(page):
    text = (ROOT / page).read_text()
    for job, options in re.findall(r"^    python jobs/(\w+)\.py((?:[^\n#]*\\\n)*[^\n#]*)", text, re.MULTILINE):
        check_names(settings_of(job), flags(options) - OF_EVERY_JOB)
    known = {name for job in JOBS for name in types_of(settings_of(job))}
    assert flags(text) <= known | OF_EVERY_JOB | OTHERS


def test_a_flag_is_found_with_its_dots():
    assert flags("`--loss.margin 0.3`, --out=x -- --no_such,") == {"loss.margin", "out", "no_such"}
