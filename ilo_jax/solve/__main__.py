import sys

from ilo_jax.solve.cli import main

sys.exit(main())
