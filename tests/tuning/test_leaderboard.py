"""Leaderboard, best.yaml and effects: from trials to what people read."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow.csv as pacsv
import pytest
import yaml
from scipy.stats import f_oneway

from fashion.errors import InputError
from fashion.pipelines.train import TrainJobSettings
from fashion.storage import Store
from fashion.training.run_record import TableRecord
from fashion.tuning.effects import effects, explained, thirds
from fashion.tuning.leaderboard import best_yaml, ranked, write_leaderboard
from fashion.tuning.overrides import override
from fashion.tuning.page import SweepAbout, render_sweep
from fashion.tuning.records import (
    SweepRecord,
    Trial,
    TrialRecord,
    end_trial,
    newest,
    open_sweep,
    read_trials,
    write_trial,
)
from fashion.tuning.space_file import parse_space
from jobs.cli import parse
from tests.tuning.fakes import BASE, row

SPACE = parse_space({"loss.margin": {"uniform": [0.05, 1.0]}, "loss.mining": {"choice": ["all", "hard"]}})


def trial(number, scores, margin=0.3, mining="all", **record):
    return Trial(
        record=TrialRecord(number=number, values={"loss.margin": margin, "loss.mining": mining}, **record),
        scores=tuple(enumerate(scores, 1)),
    )


def test_the_best_epoch_counts_and_equals_go_to_the_earlier_trial():
    trials = [
        trial(0, [0.1, 0.5, 0.4]),
        trial(1, [0.2, 0.5]),
        trial(2, [], status="failed", error="no"),
        trial(3, [0.6, 0.6]),
    ]
    assert [t.record.number for t in ranked(trials)] == [3, 0, 1, 2]
    assert trials[3].best == (1, 0.6)


def test_the_leaderboard_is_the_same_as_parquet_and_csv(tmp_path):
    trials = [trial(0, [0.1, 0.3]), trial(1, [0.5], mining="hard"), trial(2, [], status="failed", error='a, "b"')]
    written = write_leaderboard(Store(tmp_path), trials, SPACE, "recall@1")
    read = Store(tmp_path).read_table("leaderboard.parquet")
    assert read.equals(written) and read["trial"].to_pylist() == ["trial-0001", "trial-0000", "trial-0002"]
    assert read["recall@1"].to_pylist() == [0.5, 0.3, None] and read["best_epoch"].to_pylist() == [1, 2, None]
    csv = pacsv.read_csv(tmp_path / "leaderboard.csv").to_pylist()
    assert [r["loss.mining"] for r in csv] == ["hard", "all", "all"] and csv[2]["error"] == 'a, "b"'


def test_best_yaml_is_a_configuration_of_train_that_makes_the_same_settings(tmp_path):
    best = trial(4, [0.1, 0.4], margin=0.37, mining="hard")
    settings = override(BASE, best.record.values)
    (tmp_path / "best.yaml").write_text(best_yaml(best, settings, "recall@1"))
    found = parse(TrainJobSettings, ["--config", str(tmp_path / "best.yaml"), "--data", "x", "--run", "y"])
    assert found.train == settings
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["loss"]["margin"] == 0.37


def test_records_are_read_back_and_only_own_epochs_of_a_generation_count(tmp_path):
    sweep = Store(tmp_path)
    first = TrialRecord(number=2, values={"loss.margin": 0.2})
    second = TrialRecord(number=2, values={"loss.margin": 0.3}, generation=2, parent="trial-0000", parent_epochs=2)
    for record in (first, second):
        write_trial(sweep, record)
        sweep.write_json(
            f"trials/{record.name}/history.json", [row(override(BASE, record.values), e) for e in (1, 2, 3)]
        )
    end_trial(sweep, first, "stopped")
    found = read_trials(sweep, "recall@1")
    assert [t.record.name for t in found] == ["trial-0002", "trial-0002-2"]
    assert [e for e, _ in found[0].scores] == [1, 2, 3] and found[1].scores == ((3, 0.3),)
    assert (found[1].epochs, found[1].seconds) == (1, 1.0)
    assert newest(sweep, 2) == second and newest(sweep, 3) is None and found[0].record.done


def test_another_sweep_in_the_same_folder_is_refused(tmp_path):
    sweep = SweepRecord(settings={"space": {"a": 1}, "search": {"seed": 0}}, data=TableRecord(fingerprint="x"))
    open_sweep(Store(tmp_path), sweep)
    open_sweep(Store(tmp_path), sweep)
    with pytest.raises(InputError, match=r"holds a sweep made with search\.seed 0, and 1 was asked for"):
        open_sweep(Store(tmp_path), replace(sweep, settings={"space": {"a": 1}, "search": {"seed": 1}}))
    with pytest.raises(InputError, match="holds a sweep made with data 'x', and 'y'"):
        open_sweep(Store(tmp_path), replace(sweep, data=TableRecord(fingerprint="y")))


def test_the_share_explained_agrees_with_the_analysis_of_variance():
    random = np.random.default_rng(0)
    group, scores = random.integers(0, 3, 30), random.normal(size=30)
    k, n = 3, 30
    share = explained(group, scores)
    assert f_oneway(*(scores[group == i] for i in range(k))).statistic == pytest.approx(
        share / (1 - share) * (n - k) / (k - 1)
    )


def test_thirds_keep_equal_values_together():
    assert thirds(np.array([5.0, 1, 3, 2, 6, 4])).tolist() == [2, 0, 1, 0, 2, 1]
    equal = thirds(np.array([1, 1, 1, 1, 2, 9]))
    assert len(set(equal[:4])) == 1 and equal[5] == 2


def test_a_real_effect_is_clear_a_chance_one_is_not_and_few_trials_say_nothing():
    random = np.random.default_rng(1)
    margins = random.uniform(0.05, 1, 24)
    peaked = [0.5 - abs(m - 0.5) + random.normal() * 0.02 for m in margins]  # best in the middle: no rank correlation
    trials = [trial(i, [peaked[i]], margin=margins[i], mining="all" if i % 2 else "hard") for i in range(24)]
    margin, mining = effects(SPACE, trials)
    assert (margin.name, margin.verdict, margin.trials) == ("loss.margin", "clear", 24)
    assert margin.explained > 0.5 and margin.groups[0].low < 0.5 < margin.groups[0].high
    assert mining.verdict == "cannot tell from chance" and {g.label: g.trials for g in mining.groups} == {
        "all": 12,
        "hard": 12,
    }
    assert effects(SPACE, trials[:5])[0].verdict == "cannot tell: 5 trials are too few"


def test_the_chance_is_that_of_all_permutations():
    scores = np.array([0.9, 0.8, 0.85, 0.1, 0.2, 0.3])
    trials = [trial(i, [s], mining="all" if i < 3 else "hard") for i, s in enumerate(scores)]
    found = effects(SPACE, trials)[-1]
    group = np.array([0, 0, 0, 1, 1, 1])
    shares = [explained(group, scores[list(order)]) for order in itertools.permutations(range(6))]
    exact = np.mean([share >= found.explained - 1e-12 for share in shares])
    assert found.chance == pytest.approx(exact, abs=0.02)


def test_the_page_escapes_what_it_shows_and_loads_nothing(tmp_path):
    trials = [
        trial(0, [0.1, 0.3]),
        trial(1, [0.5], mining="hard"),
        trial(2, [], status="failed", error="<script>x</script>"),
    ]
    about = SweepAbout(
        metric="recall@1",
        epochs=2,
        search="random",
        scheduler="asha",
        data="s3://b/t",
        created="now",
        best_yaml="a: <b>",
    )
    page = render_sweep(SPACE, trials, about)
    assert "<script" not in page and "&lt;script&gt;" in page and "a: &lt;b&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('class="thread') == 2 and "trial-0001, epoch 1 of 2" in page
    assert "not used" not in page
    assert "darker" not in page  # on a dark page the better is the brighter
