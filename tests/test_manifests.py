"""The recipes for Kubernetes are what its schemas ask for."""

import os
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


def test_the_job_of_kuberay_is_one_and_its_command_is_understood():
    jsonschema = pytest.importorskip("jsonschema")
    yaml = pytest.importorskip("yaml", reason="PyYAML is in ilo_jax[manifests]")
    definition = os.environ.get("KUBERAY_RAYJOBS")
    if definition is None:
        pytest.skip(
            "KUBERAY_RAYJOBS: KubeRay's helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml"
        )
    resource = yaml.safe_load(pathlib.Path(definition).read_text())
    versions = {v["name"]: v["schema"]["openAPIV3Schema"] for v in resource["spec"]["versions"]}
    job = yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())
    jsonschema.validate(job, strict(versions[job["apiVersion"].partition("/")[2]]))
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "ilo_jax.solve"]
    assert make_parser().parse_args(words[3:]).ray == "auto"


def strict(schema):
    """What a cluster would drop in silence is refused; a number may be a text where it says so."""
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(part) for name, part in schema.items() if name != "properties"}
    if "properties" in schema:
        found["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        known = "x-kubernetes-preserve-unknown-fields" in schema or "additionalProperties" in schema
        found |= {} if known or found["properties"].keys() <= {"metadata"} else CLOSED
    if schema.get("x-kubernetes-int-or-string"):
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return found


CLOSED = {"additionalProperties": False}
