from fashion.json_values import of_plain
from fashion.retrieval.metrics_record import Metrics
from fashion.retrieval.table import metrics_table

METRICS = {
    "recall": {"10": 0.91, "1": 0.612, "5": 0.8534},
    "map": 0.678,
    "mrr": 1.0,
    "baselines": {
        "chance": {"recall": {"1": 0.0004, "5": 0.011, "10": 0.022}, "map": 0.014, "mrr": 0.0146},
        "untrained": {"recall": {"1": 0.09, "10": 0.3}, "map": 0.14, "mrr": 0.15},
        "last year": {"recall": {"1": 0.5, "5": 0.7, "10": 0.8}, "map": 0.6, "mrr": 0.6},
        "colour histogram": {"recall": {"1": 0.12, "5": 0.25, "10": 0.33}, "map": 0.18, "mrr": 0.19},
    },
}


def test_rows_are_systems_and_columns_measures_in_reading_order():
    assert metrics_table(of_plain(Metrics, METRICS)) == (
        "                  recall@1  recall@5  recall@10    mAP     MRR\n"
        "trained              61.2%     85.3%      91.0%  67.8%  100.0%\n"
        "untrained             9.0%         –      30.0%  14.0%   15.0%\n"
        "colour histogram     12.0%     25.0%      33.0%  18.0%   19.0%\n"
        "chance                0.0%      1.1%       2.2%   1.4%    1.5%\n"
        "last year            50.0%     70.0%      80.0%  60.0%   60.0%"
    )


def test_without_baselines_the_trained_network_stands_alone():
    alone = {"recall": {"1": 0.5}, "map": 0.25, "mrr": 0.75}
    assert metrics_table(of_plain(Metrics, alone)) == (
        "         recall@1    mAP    MRR\n"
        "trained     50.0%  25.0%  75.0%"
    )  # fmt: skip
