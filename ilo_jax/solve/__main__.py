import os
import sys

import jax

from ilo_jax.solve.cli import main

# Every processor core is a JAX device, so that a batch is divided over them: on small images that
# is faster than several threads in each operation. JAX allows it before its first operation only.
if jax.config.values["jax_num_cpu_devices"] < 0:
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)

sys.exit(main())
