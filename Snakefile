"""The published grid on a cluster, or on one machine: docs/cluster.md.

    snakemake -n SNS                                  what is missing of a dataset
    snakemake --profile profiles/slurm SNS multi30k   these, by Slurm
    snakemake --profile profiles/local --cores 2 toy  the toy data, on this machine

Targets: a dataset, classification, translation, copying, all (default), toy. The jobs, one a run,
are those of attention_dynamics/cluster.py, from the tables that the bash scripts use, too.
"""

import shlex
import sys
from pathlib import Path

from attention_dynamics import cluster

JOBS = cluster.all_jobs()
VENV = Path(workflow.basedir) / ".venv" / "bin" / "python"  # what quickstart.sh sets up
PYTHON = shlex.quote(str(config.get("python", VENV if VENV.exists() else sys.executable)))
THREADS = {"copy": 8}  # models that a job trains side by side; all else has one thread

if workflow.is_main_process:
    cluster.forget(JOBS)


workdir: workflow.basedir


localrules:
    prepare,
    report,


for kind in dict.fromkeys(name.split("/")[0] for name in JOBS):

    rule:
        name:
            kind
        input:
            lambda w, kind=kind: [cluster.marker(n) for n in JOBS[f"{kind}/{w.job}"].needs],
        output:
            cluster.marker(f"{kind}/{{job}}"),
        params:
            folder=lambda w, kind=kind: JOBS[f"{kind}/{w.job}"].folder,
            command=lambda w, kind=kind: JOBS[f"{kind}/{w.job}"].command,
            depends=lambda w, kind=kind: JOBS[f"{kind}/{w.job}"].depends,
        threads: THREADS.get(kind, 1)
        shell:
            # the time, since an empty file is as it was before
            'python() {{ {PYTHON} "$@"; }}; '
            "(cd {params.folder} || exit; {params.command}) && date >{output}"


for target in cluster.targets():

    rule:
        name:
            target
        localrule: True
        default_target: target == "all"
        input:
            cluster.marker(f"report/{target}"),
