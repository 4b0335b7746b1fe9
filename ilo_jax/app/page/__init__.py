"""A page to try it on: `python -m ilo_jax.app`.

`choices.py` is what a visitor chooses, `search.py` what computes while it is watched,
`classical.py` what it is compared with, `pictures.py` what is shown; `blocks.py` and `command.py`
alone know Gradio.
"""
