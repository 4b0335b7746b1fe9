#!/bin/bash
# A run as an array of N jobs, none of which knows of another. N comes first, then the command:
#
#   sbatch --array=0-3 --cpus-per-task=8 deploy/slurm_array.sh 4 \
#       superres --factor 4 --images /shared/photos --out /shared/results
#   python -m ilo_jax.solve summarize /shared/results
#
# With GPUs: --gpus-per-task=1 beside --cpus-per-task. A job that was lost: the same line with its
# number alone, --array=2; N stays 4, since which image is in which shard depends on it.
#SBATCH --job-name=ilo_jax
#SBATCH --requeue
set -euo pipefail
shards=$1
shift
# A job that Slurm has started again was ended before, on whichever host.
exec python -m ilo_jax.solve "$@" --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    ${SLURM_RESTART_COUNT:+--take-over}
