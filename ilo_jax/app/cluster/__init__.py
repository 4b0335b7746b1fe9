"""`--ray`: a run over the machines of a Ray cluster, nodes of which come and go.

`connect` reaches or starts the cluster, `worker` solves batches on a device, `attempts` knows which
of them killed their worker, `engine` sends batches out and writes what comes back.
"""
