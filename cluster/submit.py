"""Send a job to a cluster, show its log, and end with the job's own exit status.

python cluster/submit.py --working-dir . -- python jobs/reevaluate.py --run s3://bucket/runs/first ...

`ray job submit` does the same but ends with 1 whatever way the job failed: a schedule that has to tell "worse than the
baseline" (3) from "failed" (1) needs this. Ray's own variables hold: RAY_ADDRESS, RAY_AUTH_MODE and RAY_AUTH_TOKEN.
"""

import argparse
import asyncio
import os
import shlex
import sys

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

FAILED, INPUT_ERROR = 1, 2
DASHBOARD = "http://127.0.0.1:8265"


def entrypoint(command: list[str]) -> str:
    """The words of a command as one line for a shell; a single word is a line already."""
    return command[0] if len(command) == 1 else shlex.join(command)


def exit_status(job: JobDetails) -> int:
    """The job's own, or 1 where it has none: it was stopped, or died before it began."""
    if job.status == JobStatus.SUCCEEDED:
        return 0
    return job.driver_exit_code or FAILED


async def follow(client: JobSubmissionClient, name: str) -> None:
    """Print the job's log until it ends."""
    async for lines in client.tail_job_logs(name):
        print(lines, end="", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default=os.environ.get("RAY_ADDRESS", DASHBOARD), help="the cluster's dashboard")
    parser.add_argument("--working-dir", help="folder with the code, which the cluster gets; default: it has it")
    parser.add_argument("--name", help="name of the job, of which there can be one; default: Ray makes one up")
    parser.add_argument("command", nargs="+", help="after --")
    given = parser.parse_args()
    environment = {"working_dir": given.working_dir} if given.working_dir else {}
    try:
        client = JobSubmissionClient(given.address)
        name = client.submit_job(
            entrypoint=entrypoint(given.command), submission_id=given.name, runtime_env=environment
        )
    except (ConnectionError, RuntimeError, ValueError) as fault:
        print(f"error: {given.address}: {' '.join(str(fault).split())}", file=sys.stderr)
        return INPUT_ERROR
    print(f"job {name}; stop it with: ray job stop --address {given.address} {name}", flush=True)
    asyncio.run(follow(client, name))
    job = client.get_job_info(name)
    print(f"job {name} {job.status.lower()}")
    return exit_status(job)


if __name__ == "__main__":
    sys.exit(main())
