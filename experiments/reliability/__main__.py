"""A little of each command of this folder that takes seconds: python -m experiments.reliability"""

import importlib
import sys

SMALL = {
    "mutate": ["--times", "8"],
    "disk": ["--times", "2"],
    "downloads": ["--times", "11"],
}

if __name__ == "__main__":
    for name, words in SMALL.items():
        sys.argv = [name, *words]
        importlib.import_module(f"experiments.reliability.{name}").main()
