"""The other machines of the cluster, and what they answer when they are asked."""

from collections.abc import Callable
from typing import Any

ANSWER_S = 60.0


def others() -> list[dict]:
    """The machines beside this one, as Ray lists them."""
    import ray

    if not ray.is_initialized():  # nothing is left to do but by this process
        return []
    here = ray.get_runtime_context().get_node_id()
    return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]


def answers(function: Callable, *arguments: Any, nodes: list[dict]) -> dict[str, Any]:
    """Name of each machine -> what `function` returns there, or the error that it raises; one that does not answer in time
    is left out."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = ray.remote(num_cpus=0, max_retries=0)(function)
    asked = {}
    for node in nodes:
        strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[there.options(scheduling_strategy=strategy).remote(*arguments)] = node["NodeManagerHostname"]
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_S)
    answers = {}
    for answer in answered:
        try:
            answers[asked[answer]] = ray.get(answer)
        except ray.exceptions.RayTaskError as fault:
            answers[asked[answer]] = fault
        except ray.exceptions.RayError:  # the machine has gone meanwhile
            continue
    return answers
