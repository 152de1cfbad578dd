"""How fast we train and rank, beside reference code, other packages and what the machine can do.

    python -m benchmarks list                       # cases, programs beside us, other scripts here
    python -m benchmarks run "auc D=20" --rounds 5  # one case, or several
    python -m benchmarks report -o report           # every case: one table, JSON, curves as SVG
    python -m benchmarks compare old.json new.json  # two runs

`README.md` of this folder says what is measured and how.
"""
