"""The recipes for Kubernetes are what its schemas ask for."""

import pathlib
import shlex

import pytest

from ilo_jax.app.parser import make_parser

pytestmark = pytest.mark.slow

DEPLOY = pathlib.Path(__file__).parents[1] / "deploy"


def test_the_indexed_job_is_a_job_and_its_command_is_understood():
    reason = "kubernetes-validate is in ilo_jax[manifests]"
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason=reason)
    yaml = pytest.importorskip("yaml", reason=reason)
    job = yaml.safe_load((DEPLOY / "kubernetes_shards.yaml").read_text())
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    words = shlex.split(script.replace("$JOB_COMPLETION_INDEX", "3"))
    assert words[:4] == ["exec", "python", "-m", "ilo_jax.solve"]
    shard = make_parser().parse_args(words[4:]).shard
    assert (shard.index, shard.count) == (3, job["spec"]["completions"])
