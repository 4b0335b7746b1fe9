"""The formats that can be read: one module each, with
`read(value, budget) -> Network | None`.

`value` is what the file holds; None means that the format is another one.
"""

from convert_weights.formats import nvidia_state, nvidia_tensorflow, nvidia_torch, rosinality

FORMATS = (rosinality, nvidia_state, nvidia_torch, nvidia_tensorflow)
