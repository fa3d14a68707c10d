"""Machines of a Dask cluster that start guests for a run: `run --cluster ADDRESS`.

A cluster only gives machines: each is a provider whose guests live elsewhere. What a guest says
comes home line by line, and all else of a run happens there. The worker's side is `preload`,
`task` and `desk`; home's side is `connect`, `crew`, `member`, `line` and `remote`. Both sides speak
`messages` over a `channel`. Nothing outside of this package imports Dask.
"""
